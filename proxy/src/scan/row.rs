use serde::Serialize;

use crate::inventory::Severity;

/// How sure it is that a text is a key; the surest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Sure {
    /// The vendor's checksum fits, or another tool asked the vendor.
    Proven,
    /// It has the shape of the vendor's keys, which nothing else has.
    Shape,
    /// It is the value of a variable that holds such a key.
    Name,
    /// Another tool says so.
    Told,
}

/// What is told of a key that lies about: everything but the key.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// Its shape, or the rule of the tool that found it.
    pub key: String,
    /// Whose key it is.
    pub vendor: String,
    /// How much it matters.
    pub severity: Severity,
    /// How sure that is.
    pub sure: Sure,
    /// Keyed fingerprint: the same for the same key. Absent where another tool kept the key to itself.
    pub fingerprint: Option<String>,
    /// The file, with the archives that it lies in before it, joined by `!`.
    pub file: String,
    /// Line, from 1.
    pub line: Option<u64>,
    /// Column, in characters from 1.
    pub column: Option<u64>,
    /// Whether it stands there in base64.
    pub coded: bool,
    /// For how many days it has stood there, at least.
    pub age_days: Option<i64>,
    /// Who says so: `git`, `file` (its time of change), `archive` or `report`.
    pub age_from: Option<&'static str>,
    /// Who answers for it.
    pub owner: Option<String>,
    /// Who says so: `CODEOWNERS`, `git` or `report`.
    pub owner_from: Option<&'static str>,
    /// `keygress`, `gitleaks`, `trufflehog` or `sarif`.
    pub found_by: &'static str,
    /// The credentials of the policy that take its place, the surest first.
    pub replaced_by: Vec<Replacement>,
    /// What to do.
    pub help: String,
}

/// A credential that takes the place of a key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Replacement {
    /// Why it does.
    pub because: Because,
    /// Its name.
    pub credential: String,
}

/// Why a credential takes the place of a key; the surest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Because {
    /// It had the same value, by the audit.
    SameValue,
    /// It is of the same preset.
    Preset,
    /// It goes to the same destination.
    Destination,
}

/// A file that was not searched, or not to its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Incomplete {
    /// The file.
    pub file: String,
    /// Why.
    pub why: String,
}

/// What a scan found, and what it left out.
#[derive(Debug, Default, Serialize)]
pub struct Scanned {
    /// The keys, the worst first.
    pub rows: Vec<Row>,
    /// Files that were searched, those in archives too.
    pub files: u64,
    /// Bytes that were searched.
    pub bytes: u64,
    /// Binary files: not searched.
    pub binary: u64,
    /// Symbolic links: not followed.
    pub links: u64,
    /// Files that the policy names as the source of a credential: they are where they should be.
    pub sources: u64,
    /// What was not searched although it should have been.
    pub incomplete: Vec<Incomplete>,
    /// Keys beyond the most that are told one by one.
    pub more: u64,
}

impl Sure {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Proven => "proven",
            Self::Shape => "shape",
            Self::Name => "name",
            Self::Told => "told",
        }
    }
}

impl Because {
    /// The words for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SameValue => "same value",
            Self::Preset => "preset",
            Self::Destination => "destination",
        }
    }
}
