use std::io::{self, Write};

use super::past::{Caller, Credential, Past};
use super::{ALLOW, DENY, FAINT, reasons};

/// Prints what became of a request, and what would become of the like.
///
/// # Errors
/// Where it cannot be written.
pub(super) fn print(past: &Past) -> io::Result<()> {
    let mut out = anstream::stdout().lock();
    let (style, outcome) = match past.outcome {
        "sent" => (ALLOW, "sent"),
        "" => (FAINT, "open"),
        other => (DENY, other),
    };
    writeln!(out, "{style}{outcome}{style:#}  {}  {FAINT}request {} at {}{FAINT:#}\n", asked(past), past.request, past.time)?;
    let mut row = |name: &str, text: String| writeln!(out, "  {name:12}{text}");
    row("who", who(&past.caller))?;
    if let Some(rule) = &past.rule {
        let generation = past.generation.map(|generation| format!(", policy {generation}")).unwrap_or_default();
        let since = past.generation_since.as_ref().map(|since| format!(" (in force since {since})")).unwrap_or_default();
        row("rule", format!("{rule}{generation}{since}"))?;
    }
    row("why", why(past))?;
    match &past.credential {
        Some(credential) => row("credential", fresh(credential))?,
        None => row("credential", "none".to_owned())?,
    }
    if let Some(broker) = &past.broker {
        row("broker", format!("it went through `{broker}`, which has its own record of it"))?;
    }
    if past.stripped.is_empty() {
        row("stripped", "nothing: the application sent no credential of its own in a known slot".to_owned())?;
    } else {
        row("stripped", format!("{}, as the application sent it", past.stripped.join(", ")))?;
    }
    if let Some(masked) = past.masked.filter(|masked| *masked > 0) {
        row("masked", format!("the credential came back {masked} times, and was masked"))?;
    }
    if let Some(status) = past.status {
        row("answer", status.to_string())?;
    }
    let records: Vec<_> = past.records.iter().map(|entry| format!("{} ({})", entry.record, entry.event)).collect();
    row("on record", records.join(", "))?;
    let Some(now) = &past.now else { return Ok(()) };
    let style = if now.decision == "allow" { ALLOW } else { DENY };
    let changed = past.changed.map_or("", |changed| if changed { ", otherwise than then" } else { ", as then" });
    writeln!(out, "\n  now         {style}{}{style:#}{changed}: {}", now.decision, now.reason)?;
    reasons(&mut out, now)
}

fn asked(past: &Past) -> String {
    let asked = &past.asked;
    let method = asked.method.as_deref().unwrap_or("a request that could not be read");
    let Some(host) = &asked.host else { return method.to_owned() };
    let scheme = asked.scheme.as_deref().unwrap_or("https");
    let port = if (scheme, asked.port) == ("https", 443) || (scheme, asked.port) == ("http", 80) {
        String::new()
    } else {
        format!(":{}", asked.port)
    };
    format!("{method} {scheme}://{host}{port}{}", asked.path.as_deref().unwrap_or_default())
}

fn who(caller: &Caller) -> String {
    let parts = [
        Some(caller.workload.as_ref().map_or_else(|| "nobody whom a workload recognises".to_owned(), |name| format!("workload `{name}`"))),
        caller.task.as_ref().map(|task| format!("task {task}")),
        caller.uid.map(|uid| format!("uid {uid}")),
        caller.pid.map(|pid| format!("pid {pid}")),
        caller.peer.as_ref().map(|peer| format!("peer {peer}")),
        caller.way.as_ref().map(|way| format!("by {way}")),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

fn why(past: &Past) -> String {
    match (past.outcome, &past.code) {
        ("sent", _) => format!("rule `{}` allows it", past.rule.as_deref().unwrap_or_default()),
        ("", _) => "how it ended is not on record".to_owned(),
        (_, code) => format!("{}: {}", code.as_deref().unwrap_or("refused"), past.message.as_deref().unwrap_or_default()),
    }
}

fn fresh(credential: &Credential) -> String {
    let Credential { name, lease, fingerprint, age, left, ended, used, .. } = credential;
    if !used {
        return format!("`{name}`, which was not put on");
    }
    let mut text = format!("`{name}`, lease {}", lease.as_deref().unwrap_or("unknown"));
    if let Some(age) = age {
        text.push_str(&format!(", {} old", span(*age)));
        match left {
            Some(left) => text.push_str(&format!(", good for another {}", span(*left))),
            None => text.push_str(", without an end of its own"),
        }
    }
    if let Some(fingerprint) = fingerprint {
        text.push_str(&format!("; fingerprint {fingerprint}"));
    }
    if let Some(ended) = ended {
        text.push_str(&format!("; since then {} at {}", ended.event.replace('_', " "), ended.time));
    }
    text
}

/// Seconds for people.
fn span(seconds: u64) -> String {
    match seconds {
        ..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86400),
    }
}
