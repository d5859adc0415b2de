//! What a process and its descendants used.

use std::io;
use std::path::Path;
use std::time::Duration;

/// The unit in which the kernel counts in `stat`: USER_HZ, 100 on every architecture that Linux runs on but one.
const TICK: Duration = Duration::from_millis(10);

/// What a process used so far.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    /// User and system time together, of all threads.
    pub cpu: Duration,
    /// Resident memory now, in bytes. Of several processes, pages that they share count once.
    pub rss_bytes: u64,
    /// The most that was ever resident, in bytes.
    pub peak_rss_bytes: u64,
}

impl Usage {
    /// Of this process and its descendants.
    ///
    /// # Errors
    /// Where it does not run any more.
    pub fn of(pid: u32) -> io::Result<Self> {
        let own = Self::of_one(pid)?;
        let others: Vec<Self> = tree(pid).into_iter().filter(|other| *other != pid).filter_map(|other| Self::of_one(other).ok()).collect();
        if others.is_empty() {
            return Ok(own);
        }
        let mut sum = others.into_iter().fold(own, |sum, one| Self {
            cpu: sum.cpu + one.cpu,
            rss_bytes: sum.rss_bytes + one.rss_bytes,
            peak_rss_bytes: sum.peak_rss_bytes + one.peak_rss_bytes,
        });
        let shared = sum.rss_bytes.saturating_sub(tree(pid).into_iter().map(proportional_bytes).sum());
        sum.rss_bytes = sum.rss_bytes.saturating_sub(shared);
        sum.peak_rss_bytes = sum.peak_rss_bytes.saturating_sub(shared);
        Ok(sum)
    }

    fn of_one(pid: u32) -> io::Result<Self> {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
        Ok(Self { cpu: cpu_of(pid)?, rss_bytes: kib(&status, "VmRSS:") * 1024, peak_rss_bytes: kib(&status, "VmHWM:") * 1024 })
    }

    /// What was used between an earlier look and this one; memory as it is now.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        Self { cpu: self.cpu.saturating_sub(earlier.cpu), ..*self }
    }
}

/// A process and its descendants, as they are now.
#[must_use]
pub fn tree(pid: u32) -> Vec<u32> {
    let mut found = vec![pid];
    let mut next = 0;
    while let Some(parent) = found.get(next).copied() {
        for task in entries(Path::new(&format!("/proc/{parent}/task"))) {
            let children = std::fs::read_to_string(format!("/proc/{parent}/task/{task}/children")).unwrap_or_default();
            found.extend(children.split_whitespace().filter_map(|child| child.parse::<u32>().ok()));
        }
        next += 1;
    }
    found
}

/// The numbers among the names in a folder of `/proc`.
pub(super) fn entries(folder: &Path) -> Vec<u32> {
    let names = std::fs::read_dir(folder).into_iter().flatten().flatten();
    names.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// CPU time of one process without its children. `schedstat` counts nanoseconds of the threads that live; `stat` counts ticks, of ended threads
/// too. Neither is ever more than the truth, so the greater one is nearer to it.
fn cpu_of(pid: u32) -> io::Result<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let ticks: u64 = after_name(&stat).skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
    let tasks = entries(Path::new(&format!("/proc/{pid}/task")));
    let nanoseconds = tasks.into_iter().map(|task| {
        let schedstat = std::fs::read_to_string(format!("/proc/{pid}/task/{task}/schedstat")).unwrap_or_default();
        schedstat.split(' ').next().and_then(|field| field.parse::<u64>().ok()).unwrap_or(0)
    });
    let precise = Duration::from_nanos(nanoseconds.sum());
    Ok(precise.max(TICK.saturating_mul(u32::try_from(ticks).unwrap_or(u32::MAX))))
}

/// The fields of `stat` after the name, which may hold anything.
pub(super) fn after_name(stat: &str) -> impl Iterator<Item = &str> {
    stat.rsplit_once(')').map_or("", |(_, after)| after).split_whitespace()
}

fn kib(text: &str, name: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|line| line.split_whitespace().next()).and_then(|number| number.parse().ok()).unwrap_or(0)
}

/// Resident memory where a page that several processes share is divided among them.
fn proportional_bytes(pid: u32) -> u64 {
    kib(&std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default(), "Pss:") * 1024
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "test code")]
mod tests {
    use std::io::{Read, Write};
    use std::process::{Child, Command, Stdio};

    use super::*;

    /// A shell that does `work` when it is sent a line, and says so.
    fn shell(work: &str) -> Child {
        let script = format!("read line; {work}; echo done; read line");
        Command::new("sh").args(["-c", &script]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap()
    }

    fn used_by(work: &str) -> Usage {
        let mut child = shell(work);
        let before = Usage::of(child.id()).unwrap();
        writeln!(child.stdin.as_mut().unwrap(), "go").unwrap();
        let mut said = [0; 4];
        child.stdout.as_mut().unwrap().read_exact(&mut said).unwrap();
        let used = Usage::of(child.id()).unwrap().since(&before);
        child.kill().unwrap();
        child.wait().unwrap();
        used
    }

    #[test]
    fn who_works_more_used_more() {
        let (idle, some, much) = (
            used_by("true"),
            used_by("i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done"),
            used_by("i=0; while [ $i -lt 400000 ]; do i=$((i+1)); done"),
        );
        assert!(idle.cpu < some.cpu && some.cpu < much.cpu, "{idle:?} {some:?} {much:?}");
        assert!(much.rss_bytes > 0 && much.peak_rss_bytes >= much.rss_bytes, "{much:?}");
    }

    #[test]
    fn what_a_child_uses_is_counted() {
        // The child stays alive until its input ends; of its own accord a shell gives what runs in the background nothing to read, and what
        // a child that has ended used is in no count.
        let idle = used_by("exec 3<&0; cat <&3 & :");
        let busy = used_by("exec 3<&0; (i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done; echo done; exec cat <&3) & wait");
        assert!(idle.cpu < busy.cpu, "{idle:?} {busy:?}");
    }

    #[test]
    fn who_does_not_run_has_no_usage() {
        let mut child = Command::new("true").spawn().unwrap();
        let pid = child.id();
        child.wait().unwrap();
        assert!(Usage::of(pid).is_err());
    }
}
