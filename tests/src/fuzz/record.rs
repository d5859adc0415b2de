use std::sync::OnceLock;
use std::sync::mpsc::channel;

use anyhow::{Result, ensure};
use keygress::audit::{Audit, Event, Kind, Sink, verify};
use keygress::metrics::Metrics;

/// What records are made of.
pub(super) const WORDS: &[&str] =
    &["\n", "{\"seq\":1", ",\"hash\":\"", "\"}", "\"prev\":\"", "\"activity\":\"", "0000000000000000", ",", ":", "\\u0000", "e9", "\r"];

/// How many records the chain has of which inputs are changes.
const RECORDS: usize = 4;

/// What verifies is a beginning of a chain that keygress wrote, byte for byte; the input says what is changed in one.
pub(super) fn record(bytes: &[u8]) -> Result<()> {
    static CHAIN: OnceLock<Vec<u8>> = OnceLock::new();
    let chain = match CHAIN.get() {
        Some(chain) => chain,
        None => {
            let chain = written()?;
            CHAIN.get_or_init(|| chain)
        }
    };
    check(chain, bytes)?;
    // Two bytes of place, one of length, and what stands there instead.
    let [high, low, length, instead @ ..] = bytes else { return Ok(()) };
    let at = (usize::from(*high) << 8 | usize::from(*low)).min(chain.len());
    let end = at.saturating_add(usize::from(*length)).min(chain.len());
    let changed = [chain.get(..at).unwrap_or_default(), instead, chain.get(end..).unwrap_or_default()].concat();
    check(chain, &changed)
}

fn check(chain: &[u8], file: &[u8]) -> Result<()> {
    let found = verified(file)?;
    let lines = file.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).count();
    // Instances have chains of their own, so all that starts at the first record of another is a chain too: here there is one.
    if found {
        let same = chain.starts_with(file) || chain.strip_suffix(b"\n") == Some(file);
        ensure!(same || lines == 0, "{:?} verifies", String::from_utf8_lossy(file));
    } else {
        let whole = chain.starts_with(file) && (file.is_empty() || file.ends_with(b"\n"));
        ensure!(!whole, "a beginning of the chain does not verify: {:?}", String::from_utf8_lossy(file));
    }
    Ok(())
}

fn verified(bytes: &[u8]) -> Result<bool> {
    let mut file = tempfile::NamedTempFile::new()?;
    std::io::Write::write_all(&mut file, bytes)?;
    Ok(verify(file.path())?.first_bad.is_none())
}

fn written() -> Result<Vec<u8>> {
    let (sink, lines) = channel();
    let audit = Audit::open(Sink::Memory(sink), Metrics::default())?;
    for number in 0..RECORDS {
        audit.record(Event { message: Some(format!("record {number} \"\\\u{1}").into()), ..Event::new(Kind::Denied) });
    }
    audit.close();
    let lines: Vec<String> = lines.iter().collect();
    Ok(lines.iter().flat_map(|line| format!("{}\n", line.trim_end()).into_bytes()).collect())
}
