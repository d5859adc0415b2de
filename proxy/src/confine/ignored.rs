use tokio::signal::unix::SignalKind;

/// Which signals whoever started us had ignored (`nohup`): they stay so for what we start.
pub fn ignored() -> impl Fn(SignalKind) -> bool {
    let mask = mask(&std::fs::read_to_string("/proc/self/status").unwrap_or_default());
    move |kind| mask & bit(kind) != 0
}

/// The mask of ignored signals in a `/proc/PID/status`.
fn mask(status: &str) -> u64 {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or_default()
}

fn bit(kind: SignalKind) -> u64 {
    u32::try_from(kind.as_raw_value() - 1).ok().and_then(|place| 1_u64.checked_shl(place)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mask_of_ignored_signals_is_read() {
        let mask = |status| super::mask(status);
        let found = mask("Name:\tsh\nSigBlk:\t0000000000000000\nSigIgn:\t0000000000001001\nSigCgt:\t0000000000000000\n");
        assert_eq!(found & bit(SignalKind::hangup()), 1);
        assert_eq!(found & bit(SignalKind::terminate()), 0);
        assert_eq!(found & bit(SignalKind::pipe()), 1 << 12);
        assert_eq!(mask(""), 0);
    }
}
