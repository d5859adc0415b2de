use std::collections::HashMap;
use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

/// How long git may take for one file.
const TIME_MAX: Duration = Duration::from_secs(20);

/// The longest answer that is read, in bytes.
const ANSWER_BYTES_MAX: u64 = 64 << 20;

/// Who wrote a line, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Written {
    /// The address of the author.
    pub(super) by: String,
    /// When, in milliseconds.
    pub(super) at: i64,
}

/// Who wrote these lines of a file, by what stands in them: of a line that is not committed nothing is said. The commit is asked and not
/// the working tree, so that nothing runs that the repository's configuration names; nothing is fetched.
pub(super) fn written(repository: &Path, file: &str, lines: &[(u64, Vec<u8>)]) -> HashMap<u64, Written> {
    let answer = ask(repository, file).unwrap_or_default();
    let blamed = parse(&answer);
    let mut found = HashMap::new();
    for (number, text) in lines {
        let same_place = usize::try_from(number.saturating_sub(1)).ok().and_then(|at| blamed.get(at)).filter(|(line, _)| line == text);
        if let Some((_, written)) = same_place.or_else(|| blamed.iter().find(|(line, _)| line == text)) {
            found.insert(*number, written.clone());
        }
    }
    found
}

fn ask(repository: &Path, file: &str) -> Option<Vec<u8>> {
    let mut child = Command::new("git")
        .args(["--no-replace-objects", "--literal-pathspecs", "-c", "core.fsmonitor=false", "-c", "blame.ignoreRevsFile="])
        .args(["blame", "--porcelain", "--no-textconv", "HEAD", "--", file])
        .current_dir(repository)
        .env("GIT_ALLOW_PROTOCOL", "none")
        .env("GIT_NO_LAZY_FETCH", "1")
        .env("GIT_OPTIONAL_LOCKS", "0")
        .env("GIT_TERMINAL_PROMPT", "0")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let out = child.stdout.take()?;
    let (done, answer) = mpsc::channel();
    std::thread::spawn(move || {
        let mut text = Vec::new();
        let read = out.take(ANSWER_BYTES_MAX).read_to_end(&mut text);
        let _ = done.send(read.map(|_| text));
    });
    let answer = answer.recv_timeout(TIME_MAX);
    // Whether it ended or was too slow: nothing of it stays.
    let _ = child.kill();
    let _ = child.wait();
    answer.ok()?.ok()
}

/// Every line of the file with who wrote it.
fn parse(answer: &[u8]) -> Vec<(&[u8], Written)> {
    let mut commits: HashMap<&[u8], Written> = HashMap::new();
    let mut lines = Vec::new();
    let mut commit: &[u8] = b"";
    let mut is_head = true;
    for line in answer.split(|byte| *byte == b'\n') {
        if let Some(content) = line.strip_prefix(b"\t") {
            if let Some(written) = commits.get(commit) {
                lines.push((content, written.clone()));
            }
            is_head = true;
        } else if std::mem::take(&mut is_head) {
            commit = line.split(|byte| *byte == b' ').next().unwrap_or_default();
            commits.entry(commit).or_insert_with(|| Written { by: String::new(), at: 0 });
        } else if let Some(mail) = line.strip_prefix(b"author-mail ") {
            let mail = String::from_utf8_lossy(mail);
            commits.entry(commit).and_modify(|written| written.by = mail.trim_matches(['<', '>']).to_owned());
        } else if let Some(time) = line.strip_prefix(b"author-time ") {
            let seconds = std::str::from_utf8(time).ok().and_then(|text| text.parse::<i64>().ok());
            commits.entry(commit).and_modify(|written| written.at = seconds.unwrap_or(0).saturating_mul(1000));
        }
    }
    lines
}
