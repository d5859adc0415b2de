use std::collections::BTreeMap;
use std::path::PathBuf;

use anstyle::{AnsiColor, Style};
use http::Method;
use keygress_policy::destination::{Host, Scheme};
use keygress_policy::explain::Hypothesis;
use keygress_policy::replay::{Answer, Shift};
use serde::Serialize;

use crate::Policy;
use crate::cli::check::counted;
use crate::records::{self, Line, Step, when};

/// Most differences that are told apart; what does not fit is counted.
const DIFFERENCES_MAX: usize = 10_000;

/// How many paths of a difference are named.
const EXAMPLES_MAX: usize = 3;

const MORE: Style = AnsiColor::Yellow.on_default().bold();
const LESS: Style = AnsiColor::Cyan.on_default().bold();
const FAINT: Style = Style::new().dimmed();

/// What two policies answer to the requests of an audit.
#[derive(Debug, Default, Serialize)]
pub(super) struct Replayed {
    /// Requests that were asked of both.
    requests: u64,
    /// The first and the last of them.
    span: Option<[String; 2]>,
    /// Where the answers differ, the most frequent first.
    differences: Vec<Difference>,
    /// Requests whose difference did not fit.
    left_out: u64,
    /// What somebody should know who trusts it.
    pub(super) caveats: Vec<String>,
}

/// Requests that are alike and are answered otherwise.
#[derive(Debug, Serialize)]
struct Difference {
    shift: Shift,
    /// Who asked; `None` for whom no workload recognises.
    workload: Option<String>,
    method: String,
    /// Scheme, host and port.
    to: String,
    before: Answer,
    after: Answer,
    count: u64,
    last: String,
    /// Some of the paths.
    paths: Vec<String>,
}

/// What makes requests alike.
type Key = (Shift, Option<String>, String, String, Answer, Answer);

#[derive(Default)]
struct Counted {
    count: u64,
    last: i64,
    paths: Vec<String>,
}

/// Requests as they are counted.
#[derive(Default)]
struct Replay {
    requests: u64,
    span: Option<(i64, i64)>,
    found: BTreeMap<Key, Counted>,
    left_out: u64,
    /// Records of requests that do not say all of them.
    unclear: u64,
    /// Requests that were sent although the old policy refuses them.
    otherwise: u64,
}

/// Asks both policies what they answer to every request of an audit.
///
/// # Errors
/// Where a file cannot be read.
pub(super) fn replay(old: &Policy, new: &Policy, files: &[PathBuf]) -> anyhow::Result<Replayed> {
    let mut replay = Replay::default();
    let reading = records::read_files(files, b"\"http_request\"", |_, line| {
        // Of a request that was sent there is one `used`, of one that was refused one `denied`.
        if matches!(line.activity.as_str(), "used" | "denied") {
            replay.take(old, new, line);
        }
        Ok(Step::On)
    })?;
    let mut replayed = replay.finish();
    replayed.caveats.extend(reading.caveats());
    Ok(replayed)
}

impl Replay {
    fn take(&mut self, old: &Policy, new: &Policy, line: &Line<'_>) {
        let (asked, from) = (&line.http_request, line.keygress.workload.given());
        let path = asked.url.path.as_str();
        let method = Method::from_bytes(asked.http_method.as_str().as_bytes());
        let scheme = match asked.url.scheme.as_str() {
            "https" => Some(Scheme::Https),
            "http" => Some(Scheme::Http),
            _ => None,
        };
        // A path that was cut is not the one that was asked for; a tunnel has none.
        let whole = path.starts_with('/') && !path.ends_with('…');
        let (Ok(method), Some(scheme), Ok(host), true) = (method, scheme, Host::parse(asked.url.hostname.as_str()), whole) else {
            self.unclear += 1;
            return;
        };
        let request = Hypothesis { from, scheme, host: &host, port: asked.url.port, method: &method, path };
        let (before, after) = (old.answer(&request), new.answer(&request));
        self.requests += 1;
        let (first, last) = self.span.unwrap_or((line.time, line.time));
        self.span = Some((first.min(line.time), last.max(line.time)));
        self.otherwise += u64::from(line.activity.as_str() == "used" && !before.allows());
        let Some(shift) = after.shift_from(&before) else { return };
        let to = format!("{}://{host}:{}", scheme.as_str(), asked.url.port);
        let key = (shift, from.map(str::to_owned), method.to_string(), to, before, after);
        if self.found.len() >= DIFFERENCES_MAX && !self.found.contains_key(&key) {
            self.left_out += 1;
            return;
        }
        let counted = self.found.entry(key).or_default();
        counted.count += 1;
        counted.last = counted.last.max(line.time);
        if counted.paths.len() < EXAMPLES_MAX && !counted.paths.iter().any(|known| known == path) {
            counted.paths.push(path.to_owned());
        }
    }

    fn finish(self) -> Replayed {
        let mut caveats = Vec::new();
        if self.otherwise > 0 {
            let were = counted(self.otherwise, "request");
            caveats.push(format!(
                "{were} went through when made, but the old policy refuses the like: it is not that of the time, or the caller was several workloads"
            ));
        }
        if self.unclear > 0 {
            caveats
                .push(format!("{} of a request name no method or no whole path (tunnels): not replayed", counted(self.unclear, "record")));
        }
        let differences = self.found.into_iter().map(|((shift, workload, method, to, before, after), counted)| Difference {
            shift,
            workload,
            method,
            to,
            before,
            after,
            count: counted.count,
            last: when::shown(counted.last),
            paths: counted.paths,
        });
        let mut differences: Vec<_> = differences.collect();
        differences.sort_by_key(|difference| (difference.shift, std::cmp::Reverse(difference.count)));
        let span = self.span.map(|(first, last)| [first, last].map(when::shown));
        Replayed { requests: self.requests, span, differences, left_out: self.left_out, caveats }
    }
}

/// What the traffic would have seen.
pub(super) fn text(replayed: &Replayed) -> String {
    let requests = counted(replayed.requests, "recorded request");
    let span = replayed.span.as_ref().map_or_else(String::new, |[first, last]| format!(", {first} to {last}"));
    let mut out = String::new();
    for (shift, title, style, sign) in [
        (Shift::Gained, "would gain", MORE, '+'),
        (Shift::Lost, "would lose", LESS, '-'),
        (Shift::Altered, "would get otherwise", FAINT, '~'),
    ] {
        let mut is_first = true;
        for difference in replayed.differences.iter().filter(|difference| difference.shift == shift) {
            if std::mem::take(&mut is_first) {
                out.push_str(&format!("{style}{title}{style:#}\n"));
            }
            out.push_str(&format!("  {style}{sign}{style:#} {}\n", line(difference)));
        }
    }
    if replayed.left_out > 0 {
        out.push_str(&format!("  and {} that are answered otherwise in more ways than are told\n", counted(replayed.left_out, "request")));
    }
    let count = |shift| replayed.differences.iter().filter(|one| one.shift == shift).map(|one| one.count).sum::<u64>();
    out.push_str(&format!(
        "{requests}{span}: {} gained, {} lost, {} altered, {} answered as before\n",
        count(Shift::Gained),
        count(Shift::Lost),
        count(Shift::Altered),
        replayed.requests - replayed.left_out - replayed.differences.iter().map(|one| one.count).sum::<u64>(),
    ));
    out
}

fn line(difference: &Difference) -> String {
    let Difference { workload, method, to, before, after, count, last, paths, .. } = difference;
    let who = workload.as_deref().unwrap_or("whom no workload recognises");
    let paths = paths.join(", ");
    format!("{who}: {count} × {method} at {to} ({paths}), last {last}  {FAINT}{} → {}{FAINT:#}", short(before), short(after))
}

fn short(answer: &Answer) -> String {
    match answer {
        Answer::Allow { rule, credential, via } => {
            let with = credential.as_ref().map_or_else(String::new, |name| format!(" with `{name}`"));
            let by = via.as_ref().map_or_else(String::new, |name| format!(" by broker `{name}`"));
            format!("rule {rule}{with}{by}")
        }
        Answer::Deny { rule, why } => {
            let by = rule.as_ref().map_or_else(String::new, |rule| format!(" of rule {rule}"));
            format!("refused: {}{by}", why.replace('_', " "))
        }
    }
}
