//! What others took of the machine while something was measured.

use std::collections::HashMap;
use std::path::Path;
use std::time::{Duration, Instant};

use super::usage::{after_name, entries, tree};

/// One tick of `/proc/stat`.
const TICK_MILLISECONDS: u64 = 10;

/// What other processes may take, in percent of one core, before a run counts as spoiled.
const OTHERS_PERCENT_MAX: f64 = 10.0;

/// What the hypervisor may take, in percent of one core.
const STOLEN_PERCENT_MAX: f64 = 3.0;

/// `PF_KTHREAD` among the flags of a process (proc_pid_stat(5)).
const KERNEL_THREAD: u64 = 0x0020_0000;

/// How much of the machine others took in a span of time.
#[derive(Debug)]
pub struct Noise {
    began: Instant,
    machine: Ticks,
    processes: HashMap<u32, Ended>,
}

/// The machine's own count, over all cores.
#[derive(Clone, Copy, Debug, Default)]
struct Ticks {
    busy: u64,
    stolen: u64,
}

#[derive(Clone, Debug)]
struct Ended {
    name: String,
    ticks: u64,
    is_kernel: bool,
}

impl Noise {
    /// Begins to listen.
    #[must_use]
    pub fn begin() -> Self {
        Self { began: Instant::now(), machine: machine(), processes: processes() }
    }

    /// Ends it: why what was measured meanwhile does not count, where it does not. `ours` are the processes of the run; they, their descendants
    /// and this process are no noise.
    #[must_use]
    pub fn end(self, ours: &[u32]) -> Option<String> {
        let took = self.began.elapsed();
        let (machine, mut processes) = (machine(), processes());
        for (pid, process) in &mut processes {
            let before = self.processes.get(pid).filter(|before| before.name == process.name);
            process.ticks = process.ticks.saturating_sub(before.map_or(0, |before| before.ticks));
        }
        let mine: Vec<u32> = ours.iter().chain(&[std::process::id()]).flat_map(|pid| tree(*pid)).collect();
        let is_ours = |pid: &u32, process: &Ended| process.is_kernel || mine.contains(pid);
        let known: u64 = processes.iter().filter(|(pid, process)| is_ours(pid, process)).map(|(_, process)| process.ticks).sum();
        // What ended meanwhile is in the machine's count alone.
        let others = machine.busy.saturating_sub(self.machine.busy).saturating_sub(known);
        let loudest = processes.iter().filter(|(pid, process)| !is_ours(pid, process)).max_by_key(|(_, process)| process.ticks);
        let loudest = loudest.filter(|(_, process)| process.ticks > 0).map(|(_, process)| process.name.as_str());
        verdict(took, others, machine.stolen.saturating_sub(self.machine.stolen), loudest)
    }
}

fn verdict(took: Duration, others: u64, stolen: u64, loudest: Option<&str>) -> Option<String> {
    let percent = |ticks: u64| (ticks * TICK_MILLISECONDS) as f64 / 10.0 / took.as_secs_f64().max(0.001);
    // Counts in ticks are off by some at both ends of the span; what is short cannot be told.
    let (others, stolen) = (percent(others.saturating_sub(5)), percent(stolen.saturating_sub(2)));
    if stolen > STOLEN_PERCENT_MAX {
        return Some(format!("the hypervisor took {stolen:.0} % of a core"));
    }
    let most = loudest.map(|name| format!(", {name} the most of those that still run")).unwrap_or_default();
    (others > OTHERS_PERCENT_MAX).then(|| format!("other processes took {others:.0} % of a core{most}"))
}

fn machine() -> Ticks {
    let stat = std::fs::read_to_string("/proc/stat").unwrap_or_default();
    let fields: Vec<u64> =
        stat.lines().next().unwrap_or_default().split_whitespace().skip(1).filter_map(|field| field.parse().ok()).collect();
    // user, nice, system, idle, iowait, irq, softirq, steal
    let sum = |at: &[usize]| at.iter().filter_map(|at| fields.get(*at)).sum();
    Ticks { busy: sum(&[0, 1, 2, 5, 6]), stolen: sum(&[7]) }
}

fn processes() -> HashMap<u32, Ended> {
    let found = entries(Path::new("/proc")).into_iter().filter_map(|pid| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let name = stat.split_once('(')?.1.rsplit_once(')')?.0.to_owned();
        let fields: Vec<&str> = after_name(&stat).collect();
        let number = |at: usize| fields.get(at).and_then(|field| field.parse::<u64>().ok()).unwrap_or(0);
        // Kernel threads work for whoever is measured.
        Some((pid, Ended { name, ticks: number(11) + number(12), is_kernel: number(6) & KERNEL_THREAD != 0 }))
    });
    found.collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "test code")]
mod tests {
    use super::*;

    #[test]
    fn a_quiet_machine_spoils_nothing_and_a_loud_one_does() {
        let second = Duration::from_secs(1);
        assert_eq!(verdict(second, 14, 4, Some("x")), None);
        assert_eq!(
            verdict(second, 65, 0, Some("rustc")).unwrap(),
            "other processes took 60 % of a core, rustc the most of those that still run"
        );
        assert_eq!(verdict(second, 65, 0, None).unwrap(), "other processes took 60 % of a core");
        assert_eq!(verdict(second, 0, 22, None).unwrap(), "the hypervisor took 20 % of a core");
        assert_eq!(verdict(10 * second, 65, 22, None), None);
    }

    #[test]
    fn the_kernels_counts_are_read() {
        let before = machine();
        assert!(before.busy > 0);
        let own = processes().remove(&std::process::id()).unwrap();
        assert!(!own.is_kernel && !own.name.is_empty());
        assert!(machine().busy >= before.busy);
    }
}
