use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jiff::Timestamp;
use keygress_policy::preset::shape::{Alphabet, Anchor, Proof, Run, SHAPES, Shape};
use tempfile::TempDir;

use super::{Asked, Scanned, run};
use crate::Policy;
use crate::credentials::Fingerprints;

/// Files that are searched, and what stands in them.
mod texts;

/// What is compressed and packed, and what passes itself off as such.
mod archives;

/// Reports of other tools, and credentials that take the place of what they found.
mod joined;

/// A folder with these files.
fn folder(files: &[(&str, &[u8])]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    folder
}

fn scan(paths: &[PathBuf]) -> Scanned {
    scan_with(paths, &[], None, 1 << 30)
}

fn scan_with(paths: &[PathBuf], imports: &[PathBuf], policy: Option<&Policy>, archive_bytes_max: u64) -> Scanned {
    let fingerprints = Fingerprints::fresh();
    let asked =
        Asked { paths, imports, policy, values: BTreeMap::new(), fingerprints: &fingerprints, archive_bytes_max, now: Timestamp::now() };
    run(asked).unwrap()
}

fn scan_text(text: &str) -> Scanned {
    let folder = folder(&[("a.txt", text.as_bytes())]);
    scan(&[folder.path().to_owned()])
}

/// `key line` of every row.
fn told(scanned: &Scanned) -> Vec<String> {
    let mut told: Vec<_> = scanned.rows.iter().map(|row| format!("{} {}", row.key, row.line.unwrap_or(0))).collect();
    told.sort();
    told
}

fn shape(id: &str) -> &'static Shape {
    SHAPES.iter().find(|shape| shape.id == id).unwrap()
}

/// A key of this shape that never was one.
fn key(id: &str) -> String {
    sample(shape(id), 1)
}

fn sample(shape: &Shape, seed: u64) -> String {
    let mut state =
        seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ shape.id.bytes().fold(7, |sum: u64, byte| sum.wrapping_mul(31) + u64::from(byte));
    let mut runs = |runs: &[Run]| runs.iter().map(|run| format!("{}{}", draw(run, &mut state), run.then)).collect::<String>();
    let text = match shape.anchor {
        Anchor::Prefix(_) if shape.proof == Proof::JsonHead => {
            let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
            format!(
                "{}.{}.{}",
                part("{\"alg\":\"RS256\"}"),
                part("{\"sub\":\"somebody\"}"),
                runs(&[Run { alphabet: Alphabet::Url, least: 43, most: 43, then: "" }])
            )
        }
        Anchor::Prefix(prefix) => format!("{prefix}{}", runs(shape.runs)),
        Anchor::Middle { text, before } => format!("{}{text}{}", runs(&[before]), runs(shape.runs)),
        Anchor::Named(_) => runs(shape.runs),
        Anchor::Pem(line) => {
            let body = runs(&[Run { alphabet: Alphabet::Base64, least: 400, most: 400, then: "" }]);
            format!(
                "{line}\n{}\n{}\n",
                body.as_bytes().chunks(64).map(|line| String::from_utf8_lossy(line)).collect::<Vec<_>>().join("\n"),
                line.replace("BEGIN", "END")
            )
        }
    };
    match shape.proof {
        Proof::Crc32Base62 => with_sum(&text, 6, base62(sum(&text.as_bytes()[4..text.len() - 6]))),
        Proof::Crc32Hex => with_sum(&text, 8, format!("{:08x}", sum(&text.as_bytes()[..text.len() - 9]).swap_bytes())),
        Proof::Shape | Proof::JsonHead if super::search::find(format!("{}{text}", named(shape)).as_bytes()).is_empty() && seed < 50 => {
            // It drew what people write for a key.
            sample(shape, seed + 1)
        }
        Proof::Shape | Proof::JsonHead => text,
    }
}

fn with_sum(text: &str, length: usize, sum: String) -> String {
    format!("{}{sum}", &text[..text.len() - length])
}

fn sum(text: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(text);
    crc.sum()
}

fn base62(mut number: u32) -> String {
    let digits = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut text = vec![b'0'; 6];
    for place in text.iter_mut().rev() {
        *place = digits[number as usize % 62];
        number /= 62;
    }
    String::from_utf8(text).unwrap()
}

/// As few characters as the run takes.
fn draw(run: &Run, state: &mut u64) -> String {
    let all: Vec<u8> = (b'!'..=b'~').filter(|byte| run.alphabet.has(*byte) && (byte.is_ascii_alphanumeric())).collect();
    let mut text = String::new();
    while text.len() < run.least {
        *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        text.push(char::from(all[usize::try_from(*state >> 33).unwrap() % all.len()]));
    }
    text
}

/// What stands before a key of this shape where it is found.
fn named(shape: &Shape) -> String {
    match shape.anchor {
        Anchor::Named(names) => format!("{}=", names[0]),
        Anchor::Prefix(_) | Anchor::Middle { .. } | Anchor::Pem(_) => "key = ".to_owned(),
    }
}

/// Asserts that nothing of a key is in anything that is told.
fn assert_silent(scanned: &Scanned, keys: &[&str]) {
    let said = format!("{}{scanned:?}", serde_json::to_string(scanned).unwrap());
    for key in keys {
        let plain: String = key.chars().filter(|c| !c.is_whitespace()).collect();
        for part in [&plain, &STANDARD.encode(key)] {
            // The prefix of a vendor is no secret; any longer piece of the rest is.
            for window in part.as_bytes().windows(12).skip(16) {
                let window = std::str::from_utf8(window).unwrap();
                assert!(!said.contains(window), "a piece of a key was told");
            }
        }
        assert!(!said.contains(key), "a key was told");
    }
}
