use std::collections::BTreeMap;
use std::sync::OnceLock;

use anyhow::{Context, Result, ensure};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use http::header::PROXY_AUTHORIZATION;
use http::{HeaderMap, HeaderValue};
use keygress::caller::{Callers, Proofs, RunningTask};
use keygress::state::Key;
use keygress_policy::material::Secret;
use keygress_policy::workload::Task;

/// The token of the task that runs here: as long as those that keygress makes.
const TOKEN: &str = "bm90aGluZy10aGF0LWFueWJvZHktd291bGQtZ3Vlc3M";

/// What the fields of proxy credentials are made of.
pub(super) const WORDS: &[&str] = &[
    "Basic ",
    "basic ",
    "Bearer ",
    "bearer ",
    "\n",
    "=",
    "==",
    " ",
    "\t",
    ",",
    "task:",
    "dGFzazo",
    TOKEN,
    "dGFzazpibTkwYUdsdVp5MTBhR0YwTFdGdWVXSnZaSGt0ZDI5MWJHUXRaM1ZsYzNN",
];

/// No field admits a task unless it spells the token, whole; lines are fields.
pub(super) fn token(bytes: &[u8]) -> Result<()> {
    static CALLERS: OnceLock<Callers> = OnceLock::new();
    let callers = CALLERS.get_or_init(|| {
        let callers = Callers::new(Proofs { require_task: true, unsafe_same_uid: true, pod: None });
        let task = Task { id: "here".to_owned(), labels: BTreeMap::new() };
        callers.begin(RunningTask::new(task, Secret::new(TOKEN.as_bytes().to_vec()), BTreeMap::new()));
        callers
    });
    let mut headers = HeaderMap::new();
    let lines: Vec<&[u8]> = bytes.split(|byte| *byte == b'\n').collect();
    for value in lines.iter().filter_map(|line| HeaderValue::from_bytes(line).ok()) {
        headers.append(PROXY_AUTHORIZATION, value);
    }
    let count = headers.get_all(PROXY_AUTHORIZATION).iter().count();
    let Ok(found) = callers.task(&headers) else { return Ok(()) };
    ensure!(found.is_some_and(|task| task.task.id == "here") && count == 1, "{count} fields admit");
    let field = headers.get(PROXY_AUTHORIZATION).context("no field")?.to_str().context("not text")?;
    let (scheme, value) = field.split_once(' ').context("no scheme")?;
    let spelt = if scheme.eq_ignore_ascii_case("bearer") {
        value.trim().to_owned()
    } else {
        ensure!(scheme.eq_ignore_ascii_case("basic"), "`{scheme}` admits");
        String::from_utf8(STANDARD_NO_PAD.decode(value.trim().trim_end_matches('='))?)?
    };
    ensure!(spelt == TOKEN || spelt == format!("task:{TOKEN}"), "`{field}` admits");
    Ok(())
}

/// What was changed, cut or moved does not open.
pub(super) fn sealed(bytes: &[u8]) -> Result<()> {
    static KEY: OnceLock<(Key, String)> = OnceLock::new();
    let (key, sealed) = match KEY.get() {
        Some(there) => there,
        None => {
            let mut file = tempfile::NamedTempFile::new()?;
            std::io::Write::write_all(&mut file, &[7; 40])?;
            let key = Key::read(file.path()).map_err(anyhow::Error::msg)?;
            let sealed = key.seal("place", b"what is kept")?;
            KEY.get_or_init(|| (key, sealed))
        }
    };
    // The input changes what was sealed: each pair of its bytes a place and a value; its first one where.
    let mut changed = STANDARD_NO_PAD.decode(sealed)?;
    let original = changed.clone();
    let (first, pairs) = bytes.split_first().unwrap_or((&0, &[]));
    for pair in pairs.chunks_exact(2) {
        let [at, value] = pair else { continue };
        if *at == u8::MAX {
            changed.truncate(usize::from(*value));
        } else if let Some(byte) = changed.get_mut(usize::from(*at)) {
            *byte = *value;
        } else {
            changed.push(*value);
        }
    }
    let place = if first % 2 == 0 { "place" } else { "other" };
    let opened = key.unseal(place, &STANDARD_NO_PAD.encode(&changed));
    ensure!(opened.is_some() == (changed == original && place == "place"), "{changed:?} opens in {place}");
    // Text that is no base64, or that spells the same bytes in another way, opens nothing either.
    let text = String::from_utf8_lossy(bytes);
    ensure!(key.unseal("place", &text).is_none(), "`{text}` opens");
    ensure!(key.unseal("place", &STANDARD.encode(&original)).is_none() || original.len() % 3 == 0, "padding opens too");
    Ok(())
}
