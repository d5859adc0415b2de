//! `keygress suspend`, `keygress revoke`, `keygress resume`: the kill switch.

use std::io::Write;
use std::process::ExitCode;

use http::{Method, StatusCode};
use serde_json::{Map, Value};

use super::check::{Format, counted};
use super::control::Socket;
use crate::stops::Subject;

/// Arguments of `keygress suspend` and `keygress revoke`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    named: Named,
    /// Why: whoever is refused reads it, and so does the audit.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

/// Arguments of `keygress resume`.
#[derive(Debug, clap::Args)]
pub struct Resume {
    #[command(flatten)]
    named: Named,
}

/// What is meant: exactly one name.
#[derive(Debug, clap::Args)]
struct Named {
    #[command(flatten)]
    which: Which,
    /// For people or for machines.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    #[command(flatten)]
    socket: Socket,
}

#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct Which {
    /// A credential of the policy: whatever would use it.
    #[arg(long, value_name = "NAME")]
    credential: Option<String>,
    /// Every credential of this owner.
    #[arg(long, value_name = "NAME")]
    owner: Option<String>,
    /// A workload of the policy: everything that it asks.
    #[arg(long, value_name = "NAME")]
    workload: Option<String>,
    /// A task: everything that it asks.
    #[arg(long, value_name = "ID")]
    task: Option<String>,
    /// A host, or `*.` and a suffix: everything that goes there.
    #[arg(long, value_name = "HOST")]
    host: Option<String>,
}

impl Which {
    fn fields(&self) -> Map<String, Value> {
        let named = [&self.credential, &self.owner, &self.workload, &self.task, &self.host];
        let subjects = [Subject::Credential, Subject::Owner, Subject::Workload, Subject::Task, Subject::Host];
        let named = subjects.into_iter().zip(named);
        named.filter_map(|(subject, name)| Some((subject.as_str().to_owned(), name.clone()?.into()))).collect()
    }
}

/// Refuses it from now on, until it is resumed; what was issued stays.
///
/// # Errors
/// Where no keygress answers, or it cannot do so.
pub fn suspend(args: &Args) -> anyhow::Result<ExitCode> {
    stop(args, "/suspend")
}

/// Refuses it from now on, until it is resumed, and has what was issued revoked.
///
/// # Errors
/// As [`suspend`].
pub fn revoke(args: &Args) -> anyhow::Result<ExitCode> {
    stop(args, "/revoke")
}

/// Lets it go on.
///
/// # Errors
/// As [`suspend`]; where it is not stopped.
pub fn resume(args: &Resume) -> anyhow::Result<ExitCode> {
    let answer = args.named.socket.tell(Method::POST, "/resume", Some(&Value::Object(args.named.which.fields())))?;
    match args.named.format {
        Format::Json => writeln!(anstream::stdout(), "{answer:#}")?,
        Format::Text => writeln!(anstream::stdout(), "resumed: {}", named(&answer))?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Exits with 1 where it is in force but an issuer did not revoke, or it is not on record.
fn stop(args: &Args, path: &str) -> anyhow::Result<ExitCode> {
    let Args { named: Named { which, format, socket }, reason } = args;
    let mut body = which.fields();
    body.extend(reason.iter().map(|reason| ("reason".to_owned(), reason.clone().into())));
    let (status, answer) = socket.ask(Method::POST, path, Some(&Value::Object(body)))?;
    if !status.is_success() && answer.get("measure").is_none() {
        anyhow::bail!("{}", text(&answer, "error"));
    }
    match format {
        Format::Json => writeln!(anstream::stdout(), "{answer:#}")?,
        Format::Text => writeln!(anstream::stdout(), "{}", told(&answer))?,
    }
    let failed = leases(&answer).is_some_and(|[_, _, failed]| failed > 0);
    Ok(if status == StatusCode::OK && !failed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What was done, for people: one fact a line.
fn told(answer: &Value) -> String {
    let mut lines = vec![format!("{}: {}, in force", text(answer, "measure"), named(answer))];
    if let Some([revoked, dropped, failed]) = leases(answer) {
        lines.push(format!("  {} revoked at the issuer", counted(revoked, "lease")));
        if dropped > 0 {
            lines.push(format!(
                "  {} that the issuer cannot revoke: refused here, rotate them where they come from",
                counted(dropped, "lease")
            ));
        }
        if failed > 0 {
            lines.push(format!(
                "  {} that the issuer did not revoke: refused here, and tried again until they expire",
                counted(failed, "lease")
            ));
        }
    }
    if answer.get("known") == Some(&Value::Bool(false)) {
        lines.push("  nothing that keygress knows now has this name: check its spelling".to_owned());
    }
    if answer.get("survives_restart") == Some(&Value::Bool(false)) {
        lines.push("  until this process ends: it has no state folder (`serve --state`)".to_owned());
    }
    if answer.get("error").is_some() {
        lines.push(format!("  not on record: {}", text(answer, "error")));
    }
    lines.join("\n")
}

fn named(answer: &Value) -> String {
    format!("{} `{}`", text(answer, "subject"), text(answer, "name"))
}

fn text<'a>(answer: &'a Value, key: &str) -> &'a str {
    answer.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn leases(answer: &Value) -> Option<[u64; 3]> {
    let leases = answer.get("leases")?;
    Some(["revoked", "dropped", "failed"].map(|key| leases.get(key).and_then(Value::as_u64).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_was_done_is_told() {
        let answer = json!({
            "measure": "revoked", "subject": "credential", "name": "crm", "known": true,
            "leases": { "revoked": 2, "dropped": 1, "failed": 1 },
        });
        insta::assert_snapshot!(told(&answer), @r"
        revoked: credential `crm`, in force
          2 leases revoked at the issuer
          1 lease that the issuer cannot revoke: refused here, rotate them where they come from
          1 lease that the issuer did not revoke: refused here, and tried again until they expire
        ");
        let answer = json!({ "measure": "suspended", "subject": "host", "name": "a.test", "known": false, "survives_restart": false, "error": "the audit is closed" });
        insta::assert_snapshot!(told(&answer), @r"
        suspended: host `a.test`, in force
          nothing that keygress knows now has this name: check its spelling
          until this process ends: it has no state folder (`serve --state`)
          not on record: the audit is closed
        ");
    }
}
