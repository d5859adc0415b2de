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

#[cfg(test)]
mod tests {
    use super::*;

    fn names(files: &[SourceFile], folder: &Path) -> Vec<String> {
        files.iter().map(|file| Path::new(&file.name).strip_prefix(folder).unwrap().display().to_string()).collect()
    }

    #[test]
    fn the_visible_yaml_files_of_a_folder_are_read_by_name() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["b.yml", "a.yaml", ".hidden.yaml", "notes.txt", "c.yaml~"] {
            fs::write(folder.path().join(name), name).unwrap();
        }
        fs::create_dir(folder.path().join("d.yaml")).unwrap();
        let files = read(&[folder.path().to_owned()]).unwrap();
        assert_eq!(names(&files, folder.path()), ["a.yaml", "b.yml"]);
        assert_eq!(files[1].text, "b.yml");
    }

    #[test]
    fn paths_keep_their_order_and_a_named_file_needs_no_ending() {
        let folder = tempfile::tempdir().unwrap();
        let paths = ["z", "a"].map(|name| folder.path().join(name));
        paths.iter().for_each(|path| fs::write(path, "text").unwrap());
        assert_eq!(names(&read(&paths).unwrap(), folder.path()), ["z", "a"]);
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let refused = |path: &Path| read(&[path.to_owned()]).unwrap_err().to_string();
        assert!(refused(folder.path()).ends_with("no `*.yaml` or `*.yml` in this folder"), "{}", refused(folder.path()));
        let file = folder.path().join("policy.yaml");
        assert!(refused(&file).starts_with(&format!("cannot read `{}`: ", file.display())));
        fs::write(&file, [0xff]).unwrap();
        assert!(refused(&file).contains("UTF-8"), "{}", refused(&file));
        File::create(&file).unwrap().set_len(FILE_BYTES_MAX + 1).unwrap();
        assert!(refused(&file).ends_with("larger than 16 MiB"), "{}", refused(&file));
    }

    #[test]
    fn a_fingerprint_is_of_names_and_texts() {
        let of = |files: &[(&str, &str)]| {
            let file = |(name, text): &(&str, &str)| SourceFile { name: (*name).into(), text: (*text).into() };
            Fingerprint::of(&Ok(files.iter().map(file).collect()))
        };
        assert!(of(&[("a", "b")]) == of(&[("a", "b")]));
        assert!(of(&[("a", "b")]) != of(&[("ab", "")]));
        assert!(of(&[("a", "b")]) != of(&[("a", "b"), ("a", "b")]));
        assert!(of(&[]) != Fingerprint::of(&Err(io::Error::other("gone"))));
    }
}
