use std::collections::BTreeSet;
use std::io::{self, Read, Write};
use std::path::PathBuf;

use anyhow::{anyhow, bail};
use jiff::Timestamp;

use crate::cli::inventory::compile;
use crate::records::{self, Line, Reading, Step, when};
use crate::reload;

/// Which records are asked for: shared by `query`, `export` and `tail`.
#[derive(Debug, clap::Args)]
pub(super) struct Filter {
    /// The audit, or several files of one audit, oldest first; `-` is standard input.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Records of this credential.
    #[arg(long, value_name = "NAME")]
    credential: Option<String>,
    /// Records of the credentials that this owner answers for, by the policy.
    #[arg(long, value_name = "OWNER", requires = "policy")]
    owner: Option<String>,
    /// The policy that says who owns what: files and folders.
    #[arg(long, value_name = "PATH", num_args = 1.., requires = "owner")]
    policy: Vec<PathBuf>,
    /// Records of this workload.
    #[arg(long, value_name = "NAME")]
    workload: Option<String>,
    /// Records of this task.
    #[arg(long, value_name = "ID")]
    task: Option<String>,
    /// Requests to this host.
    #[arg(long, value_name = "HOST")]
    host: Option<String>,
    /// Requests under this rule.
    #[arg(long, value_name = "NAME")]
    rule: Option<String>,
    /// Records of this event, such as `used` or `denied`.
    #[arg(long, value_name = "EVENT")]
    event: Option<String>,
    /// Answers with this status.
    #[arg(long, value_name = "STATUS")]
    status: Option<u16>,
    /// From this moment on: `2026-01-31`, `2026-01-31T12:00:00Z`, or how long ago, as in `12h` or `30d`.
    #[arg(long, value_name = "WHEN")]
    since: Option<String>,
    /// Before this moment.
    #[arg(long, value_name = "WHEN")]
    until: Option<String>,
}

impl Filter {
    /// Hands on every record that is asked for, as it stands in the file and as it was read.
    ///
    /// # Errors
    /// Where a moment is none, nobody of this name owns anything, a file cannot be read, or as `take` says.
    pub(super) fn read(&self, take: impl FnMut(&[u8], &Line<'_>) -> io::Result<()>) -> anyhow::Result<Reading> {
        Ok(records::read_files(&self.files, &self.wanted(), self.asked(take)?)?)
    }

    /// The same, of what comes from here instead of the files.
    ///
    /// # Errors
    /// As [`Filter::read`].
    pub(super) fn read_from(&self, source: impl Read, take: impl FnMut(&[u8], &Line<'_>) -> io::Result<()>) -> anyhow::Result<Reading> {
        Ok(records::read(source, &self.wanted(), self.asked(take)?)?)
    }

    /// The files that were named.
    pub(super) fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// Takes the records that are asked for.
    fn asked(
        &self,
        mut take: impl FnMut(&[u8], &Line<'_>) -> io::Result<()>,
    ) -> anyhow::Result<impl FnMut(&[u8], &Line<'_>) -> io::Result<Step>> {
        let now = Timestamp::now();
        let at = |text: &Option<String>| text.as_ref().map(|text| when::moment(text, now)).transpose().map_err(|why| anyhow!(why));
        let (since, until) = (at(&self.since)?, at(&self.until)?);
        let within = move |time: i64| since.is_none_or(|since| time >= since) && until.is_none_or(|until| time < until);
        let owned = self.owned()?;
        let is_owned = move |line: &Line<'_>| owned.as_ref().is_none_or(|owned| owned.contains(line.keygress.credential.as_str()));
        Ok(move |raw: &[u8], line: &Line<'_>| {
            if within(line.time) && self.asks_for(line) && is_owned(line) {
                take(raw, line)?;
            }
            Ok(Step::On)
        })
    }

    /// The credentials of the owner.
    fn owned(&self) -> anyhow::Result<Option<BTreeSet<String>>> {
        let Some(owner) = &self.owner else { return Ok(None) };
        let policy = compile(&reload::read(&self.policy)?)?;
        let owned = policy.credentials().iter().filter(|credential| credential.owner == *owner);
        let owned: BTreeSet<String> = owned.map(|credential| credential.name.to_string()).collect();
        if owned.is_empty() {
            let owners: BTreeSet<&str> = policy.credentials().iter().map(|credential| credential.owner.as_str()).collect();
            bail!("`{owner}` owns no credential of this policy; owners are {}", owners.into_iter().collect::<Vec<_>>().join(", "));
        }
        Ok(Some(owned))
    }

    /// Bytes that every record holds which is asked for: names need no escapes.
    fn wanted(&self) -> Vec<u8> {
        // Those that tell least come last.
        let named = [&self.credential, &self.task, &self.rule, &self.workload, &self.host, &self.event];
        let plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'));
        let first = named.into_iter().find_map(|value| value.as_ref().filter(|value| plain(value)));
        first.map_or_else(Vec::new, |value| format!("\"{value}\"").into_bytes())
    }

    fn asks_for(&self, line: &Line<'_>) -> bool {
        let is = |asked: &Option<String>, text: &str| asked.as_ref().is_none_or(|asked| asked == text);
        let ours = &line.keygress;
        is(&self.credential, ours.credential.as_str())
            && is(&self.workload, ours.workload.as_str())
            && is(&self.task, ours.task.as_str())
            && is(&self.rule, ours.rule.as_str())
            && is(&self.host, line.http_request.url.hostname.as_str())
            && is(&self.event, line.activity.as_str())
            && self.status.is_none_or(|status| status == line.status_code)
    }
}

/// Tells on standard error what somebody should know who trusts the answer.
///
/// # Errors
/// Where it cannot be written.
pub(super) fn print_caveats(reading: &Reading) -> io::Result<()> {
    reading.caveats().iter().try_for_each(|caveat| writeln!(anstream::stderr(), "note: {caveat}"))
}
