//! The files of a policy: what is read, in which order, and whether it is the same as before.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use aws_lc_rs::digest;
use keygress_policy::problem::SourceFile;

/// The largest file of a policy.
const FILE_BYTES_MAX: u64 = 16 << 20;

/// Reads the files of one policy: each path is a file, or a folder of which every visible `*.yaml` and `*.yml` is read, by name.
///
/// # Errors
/// Names the path that cannot be read, is larger than 16 MiB, is not UTF-8, or is a folder without policy.
pub fn read(paths: &[PathBuf]) -> io::Result<Vec<SourceFile>> {
    let mut files = Vec::new();
    for path in paths {
        let metadata = fs::metadata(path).map_err(|error| about(path, &error))?;
        if metadata.is_dir() {
            let members = members(path)?;
            if members.is_empty() {
                let missing = io::Error::new(io::ErrorKind::NotFound, "no `*.yaml` or `*.yml` in this folder");
                return Err(about(path, &missing));
            }
            for member in members {
                files.push(read_file(&member)?);
            }
        } else {
            files.push(read_file(path)?);
        }
    }
    Ok(files)
}

/// The policy files in a folder, by name.
pub(super) fn members(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut members = Vec::new();
    for entry in fs::read_dir(folder).map_err(|error| about(folder, &error))? {
        let path = entry.map_err(|error| about(folder, &error))?.path();
        let is_hidden = path.file_name().is_none_or(|name| name.as_encoded_bytes().starts_with(b"."));
        if !is_hidden && is_yaml(&path) && path.is_file() {
            members.push(path);
        }
    }
    members.sort();
    Ok(members)
}

pub(super) fn is_yaml(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml")
}

fn read_file(path: &Path) -> io::Result<SourceFile> {
    let mut text = String::new();
    let read = File::open(path).and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text));
    match read {
        Ok(bytes) if bytes as u64 > FILE_BYTES_MAX => Err(about(path, &io::Error::new(io::ErrorKind::FileTooLarge, "larger than 16 MiB"))),
        Ok(_) => Ok(SourceFile { name: path.display().to_string(), text }),
        Err(error) => Err(about(path, &error)),
    }
}

fn about(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("cannot read `{}`: {error}", path.display()))
}

/// Tells whether the files, or the reason why they cannot be read, are the same as before.
#[derive(PartialEq, Eq)]
pub(super) struct Fingerprint(Vec<u8>);

impl Fingerprint {
    pub(super) fn of(files: &io::Result<Vec<SourceFile>>) -> Self {
        let mut hash = digest::Context::new(&digest::SHA256);
        let mut part = |text: &str| {
            hash.update(&(text.len() as u64).to_be_bytes());
            hash.update(text.as_bytes());
        };
        match files {
            Ok(files) => {
                for SourceFile { name, text } in files {
                    part(name);
                    part(text);
                }
            }
            Err(error) => part(&error.to_string()),
        }
        Self(hash.finish().as_ref().to_vec())
    }
}
