use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use aho_corasick::{AhoCorasick, MatchKind};
use jiff::Timestamp;
use keygress_policy::preset::shape::{Anchor, Worth};

use super::blame::{self, Written};
use super::content::Collected;
use super::owners::{self, Owners};
use super::replacement::{Replacements, presets};
use super::row::{Because, Row, Scanned, Sure};
use super::walk::{Passed, walk};
use super::{Sighting, import, search};
use crate::Policy;
use crate::credentials::Fingerprints;
use crate::inventory::Severity;
use crate::records::when::DAY;

/// A value shorter than this is not looked for in what is told: it would be found in ordinary words.
const MASKED_BYTES_MIN: usize = 8;

/// How much of a file is read again to know its lines, in bytes.
const TEXT_BYTES_MAX: u64 = 64 << 20;

/// What is asked for.
pub struct Asked<'p> {
    /// Files and folders.
    pub paths: &'p [PathBuf],
    /// Reports of other tools.
    pub imports: &'p [PathBuf],
    /// The policy that is to take the place of what is found.
    pub policy: Option<&'p Policy>,
    /// The credentials that had a value, by fingerprint.
    pub values: BTreeMap<String, BTreeSet<String>>,
    /// What names values.
    pub fingerprints: &'p Fingerprints,
    /// How many bytes are unpacked of archives and what is compressed.
    pub archive_bytes_max: u64,
    /// Now.
    pub now: Timestamp,
}

/// Searches everything that is asked for.
///
/// # Errors
/// Where a report of another tool is none. What cannot be searched is no error: it is told.
pub fn run(asked: Asked<'_>) -> Result<Scanned, String> {
    let replacements = Replacements::new(asked.policy, asked.values);
    let sources = replacements.sources();
    let mut collected = Collected::new(asked.archive_bytes_max);
    let mut passed = Passed::default();
    for path in asked.paths {
        walk(path, &sources, &mut collected, &mut passed);
    }
    for path in asked.imports {
        let known = collected.sightings.len();
        for sighting in import::report(path)? {
            if !collected.sightings.iter().take(known).any(|own| is_same(own, &sighting)) {
                collected.sightings.push(sighting);
            }
        }
    }
    let masks = Masks::of(&collected.sightings)?;
    let mut authors = Authors::default();
    authors.ask(&collected.sightings);
    let told = Telling { replacements: &replacements, fingerprints: asked.fingerprints, authors: &authors, masks: &masks, now: asked.now };
    let mut rows: Vec<Row> = collected.sightings.iter().map(|sighting| told.row(sighting)).collect();
    rows.sort_by(|one, other| {
        (one.severity, one.sure, &one.file, one.line, &one.key).cmp(&(other.severity, other.sure, &other.file, other.line, &other.key))
    });
    let mut incomplete = collected.incomplete;
    incomplete.iter_mut().for_each(|left| left.file = masks.shown(&left.file));
    Ok(Scanned {
        rows,
        files: collected.files,
        bytes: collected.bytes,
        binary: collected.binary,
        links: passed.links,
        sources: passed.sources,
        incomplete,
        more: collected.more,
    })
}

/// Whether another tool found what we found: the same key on the same line of a file that both call the same, each from its own folder.
fn is_same(own: &Sighting, other: &Sighting) -> bool {
    let (one, two) = (Path::new(&own.file), Path::new(other.file.trim_start_matches("./")));
    own.line == other.line && own.value == other.value && !other.value.is_empty() && (one.ends_with(two) || two.ends_with(one))
}

/// What makes a row of a key.
struct Telling<'s> {
    replacements: &'s Replacements<'s>,
    fingerprints: &'s Fingerprints,
    authors: &'s Authors,
    masks: &'s Masks,
    now: Timestamp,
}

impl Telling<'_> {
    fn row(&self, sighting: &Sighting) -> Row {
        let is_pem = sighting.shape.is_some_and(|shape| matches!(shape.anchor, Anchor::Pem(_)));
        let body = if is_pem { search::pem_body(&sighting.value) } else { sighting.value.to_vec() };
        let body = zeroize::Zeroizing::new(body);
        let fingerprint = (!body.is_empty()).then(|| self.fingerprints.of_value(&body).to_string());
        let written = self.authors.of(sighting);
        let (owner, owner_from) = match (self.authors.owner(&sighting.file), &written, &sighting.author) {
            (Some(owner), _, _) => (Some(owner.to_owned()), Some("CODEOWNERS")),
            (None, Some(written), _) => (Some(written.by.clone()), Some("git")),
            (None, None, Some(author)) => (Some(author.clone()), Some("report")),
            (None, None, None) => (None, None),
        };
        let (changed, age_from) = match (&written, sighting.changed) {
            (Some(written), _) => (Some(written.at), Some("git")),
            (None, Some(changed)) if sighting.by != "keygress" => (Some(changed), Some("report")),
            (None, Some(changed)) => (Some(changed), Some(if sighting.file.contains('!') { "archive" } else { "file" })),
            (None, None) => (None, None),
        };
        let replaced_by = self.replacements.of(sighting, fingerprint.as_deref());
        let first = replaced_by.first().map(|first| (first.credential.clone(), first.because));
        let given = |number: u64| (number > 0).then_some(number);
        Row {
            key: self.masks.shown(&sighting.kind),
            vendor: sighting.shape.map_or_else(|| "-".to_owned(), |shape| shape.vendor.to_owned()),
            severity: severity(sighting),
            sure: sighting.sure,
            fingerprint,
            file: self.masks.shown(&sighting.file),
            line: given(sighting.line),
            column: given(sighting.column),
            coded: sighting.coded,
            age_days: changed.map(|changed| self.now.as_millisecond().saturating_sub(changed).max(0) / DAY),
            age_from,
            owner: owner.map(|owner| self.masks.shown(&owner)),
            owner_from,
            found_by: sighting.by,
            replaced_by,
            help: help(sighting, first),
        }
    }
}

fn severity(sighting: &Sighting) -> Severity {
    match (sighting.shape.map_or(Worth::Key, |shape| shape.worth), sighting.sure) {
        (Worth::Key, Sure::Proven | Sure::Shape) => Severity::High,
        (Worth::Public, _) => Severity::Low,
        (Worth::Key | Worth::Part, _) => Severity::Medium,
    }
}

fn help(sighting: &Sighting, first: Option<(String, Because)>) -> String {
    match (first, presets(sighting).first()) {
        (Some((name, Because::SameValue)), _) => {
            format!("it is the value of `{name}`: take it out here, rotate it, and have the application go through keygress")
        }
        (Some((name, Because::Preset | Because::Destination)), _) => {
            format!("take it out, revoke it, and have the application go through keygress, which puts `{name}` on")
        }
        (None, Some(preset)) => format!("revoke it, and write a credential with `preset: {preset}`: the application then holds none"),
        (None, None) => "revoke it, and write a credential for its destination: the application then holds none".to_owned(),
    }
}

/// Who wrote and who owns what was found.
#[derive(Default)]
struct Authors {
    written: BTreeMap<(String, u64), Written>,
    owners: BTreeMap<String, String>,
}

impl Authors {
    /// Asks each repository once, and git once for each file.
    fn ask(&mut self, sightings: &[Sighting]) {
        let mut lists: BTreeMap<PathBuf, Owners> = BTreeMap::new();
        let mut files: BTreeMap<&str, BTreeSet<u64>> = BTreeMap::new();
        for sighting in sightings {
            files.entry(&sighting.file).or_default().insert(sighting.line);
        }
        for (file, lines) in files {
            // What lies in an archive belongs to whom the archive does.
            let path = Path::new(file.split('!').next().unwrap_or(file));
            let path = if path.exists() { path } else { Path::new(file) };
            let Some(root) = owners::repository(path) else { continue };
            let Some(inside) =
                fs::canonicalize(path).ok().and_then(|path| Some(path.strip_prefix(&root).ok()?.to_string_lossy().into_owned()))
            else {
                continue;
            };
            let list = lists.entry(root.clone()).or_insert_with(|| Owners::of(&root));
            if let Some(owners) = list.for_path(&inside) {
                self.owners.insert(file.to_owned(), owners.to_owned());
            }
            if path == Path::new(file) && !inside.starts_with(".git/") {
                let texts = texts(path, &lines);
                for (line, written) in blame::written(&root, &inside, &texts) {
                    self.written.insert((file.to_owned(), line), written);
                }
            }
        }
    }

    fn of(&self, sighting: &Sighting) -> Option<&Written> {
        self.written.get(&(sighting.file.clone(), sighting.line))
    }

    fn owner(&self, file: &str) -> Option<&str> {
        self.owners.get(file).map(String::as_str)
    }
}

/// These lines of a file.
fn texts(path: &Path, lines: &BTreeSet<u64>) -> Vec<(u64, Vec<u8>)> {
    let mut text = zeroize::Zeroizing::new(Vec::new());
    if fs::File::open(path).and_then(|file| file.take(TEXT_BYTES_MAX).read_to_end(&mut text)).is_err() {
        return Vec::new();
    }
    let wanted = text.split(|byte| *byte == b'\n').zip(1_u64..).filter(|(_, number)| lines.contains(number));
    wanted.map(|(line, number)| (number, line.to_vec())).collect()
}

/// Takes keys out of what is told: a file may be called like one.
struct Masks(Option<AhoCorasick>);

impl Masks {
    fn of(sightings: &[Sighting]) -> Result<Self, String> {
        let values: BTreeSet<&[u8]> =
            sightings.iter().map(|sighting| sighting.value.as_slice()).filter(|value| value.len() >= MASKED_BYTES_MIN).collect();
        if values.is_empty() {
            return Ok(Self(None));
        }
        let built = AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(&values);
        built.map(|masks| Self(Some(masks))).map_err(|_| "there are too many keys: scan fewer files at once".to_owned())
    }

    /// The text without keys, and without what steers a terminal.
    fn shown(&self, text: &str) -> String {
        let plain: String = text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
        match &self.0 {
            Some(masks) => masks.replace_all(&plain, &vec!["(key)"; masks.patterns_len()]),
            None => plain,
        }
    }
}
