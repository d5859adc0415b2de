//! How the audit is kept: flags over `proxy.yaml`.

use std::path::{Path, PathBuf};

use super::Invalid;
use super::file::Rotate;
use super::flags::duration;
use crate::audit::{Also, Rotation, Sink};

/// The smallest file that is put aside, in bytes.
const BYTES_MIN: u64 = 64 << 10;

/// The flags of the audit.
#[derive(Clone, Debug, Default, clap::Args)]
pub(super) struct AuditFlags {
    /// Append the audit to this file, or to `stdout`. Default: stdout.
    #[arg(long, value_name = "FILE", env = "KEYGRESS_AUDIT")]
    audit: Option<PathBuf>,
    /// Let a credential leave only after the record of its use is on the disk: a use then waits for a sync, which it shares with others.
    #[arg(long, env = "KEYGRESS_AUDIT_STRICT")]
    audit_strict: bool,
    /// Hand every record on to this sink too: `stdout`, `otlp` (see `--otlp-endpoint`), `syslog`, `syslog:/PATH`, `journald`, `journald:/PATH`, or the /PATH of a file; may
    /// be repeated. None of these is waited for.
    #[arg(long, value_name = "SINK", env = "KEYGRESS_AUDIT_ALSO", value_delimiter = ',')]
    audit_also: Vec<String>,
    /// The Ed25519 key (PKCS#8, PEM) that signs the audit. Default: one that is made in the state folder; without that folder nothing is
    /// signed.
    #[arg(long, value_name = "FILE", env = "KEYGRESS_AUDIT_KEY")]
    audit_key: Option<PathBuf>,
    /// Put the audit file aside when it has this size, such as `100MiB`, and go on in a new one.
    #[arg(long, value_name = "SIZE", env = "KEYGRESS_AUDIT_ROTATE_SIZE")]
    audit_rotate_size: Option<String>,
    /// Put the audit file aside when its first record is this old, such as `24h`.
    #[arg(long, value_name = "DURATION", env = "KEYGRESS_AUDIT_ROTATE_EVERY")]
    audit_rotate_every: Option<String>,
    /// Keep so many audit files that were put aside, and delete older ones. Default: all.
    #[arg(long, value_name = "COUNT", env = "KEYGRESS_AUDIT_KEEP")]
    audit_keep: Option<usize>,
}

/// How the audit is kept.
pub(super) struct Recording {
    pub(super) sink: Sink,
    pub(super) is_strict: bool,
    pub(super) also: Vec<Also>,
    pub(super) key: Option<PathBuf>,
    pub(super) rotation: Rotation,
}

impl AuditFlags {
    /// These flags over what the file says.
    ///
    /// # Errors
    /// What cannot be read, and what does not fit together.
    pub(super) fn over(
        self,
        (audit, strict, also): (Option<PathBuf>, bool, Vec<String>),
        (key, rotate): (Option<PathBuf>, Rotate),
    ) -> Result<Recording, Invalid> {
        let sink = match self.audit.or(audit) {
            Some(file) if file != Path::new("stdout") => Sink::File(file),
            _ => Sink::Stdout,
        };
        let also = if self.audit_also.is_empty() { also } else { self.audit_also };
        let recording = Recording {
            is_strict: self.audit_strict || strict,
            also: also.iter().map(|text| text.parse().map_err(Invalid::new)).collect::<Result<_, _>>()?,
            key: self.audit_key.or(key),
            rotation: Rotation {
                bytes_max: self.audit_rotate_size.or(rotate.size).as_deref().map(size).transpose()?,
                age_max: self.audit_rotate_every.or(rotate.every).as_deref().map(duration).transpose()?,
                kept: self.audit_keep.or(rotate.keep),
            },
            sink,
        };
        recording.fits()?;
        Ok(recording)
    }
}

impl Recording {
    fn fits(&self) -> Result<(), Invalid> {
        let help = "name a file with `--audit FILE`, or under `audit:` in proxy.yaml";
        let Sink::File(path) = &self.sink else {
            if self.is_strict {
                let why = "a strict audit goes to a file: nobody knows when standard output is on a disk";
                return Err(Invalid::with_help(why.to_owned(), help));
            }
            if self.rotation != Rotation::default() {
                return Err(Invalid::with_help("only an audit file is put aside".to_owned(), help));
            }
            let twice = self.also.contains(&Also::Stdout);
            return if twice { Err(Invalid::with_help("the audit goes to standard output already".to_owned(), help)) } else { Ok(()) };
        };
        if self.also.iter().any(|also| also.path() == Some(path)) {
            return Err(Invalid::new(format!("the audit goes to `{}` already", path.display())));
        }
        Ok(())
    }
}

/// Bytes, written with their unit.
///
/// # Errors
/// How it is to be written, where it is not, or is less than 64 KiB.
pub fn size(text: &str) -> Result<u64, Invalid> {
    let units = [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)];
    let bytes = units.iter().find_map(|(unit, factor)| text.strip_suffix(unit)?.parse::<u32>().ok().map(|count| u64::from(count) * factor));
    bytes.filter(|bytes| *bytes >= BYTES_MIN).ok_or_else(|| {
        Invalid::with_help(format!("`{text}` is not a size of 64KiB or more"), "write it with its unit, such as `100MiB` or `1GiB`")
    })
}
