use std::ffi::OsStr;
use std::io::Read;
use std::path::Path;

use keygress_policy::material::Secret;
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use zeroize::Zeroizing;

/// The largest secret file, in bytes.
const FILE_BYTES_MAX: usize = 64 * 1024;

/// Tries to open a file whose folder is being replaced at that moment.
const OPEN_TRIES: usize = 5;

/// What is wrong with the path of a secret file, as (message, help).
pub(in super::super) fn complaint(path: &Path) -> Option<(String, String)> {
    path.file_name()
        .is_none()
        .then(|| (format!("`{}` is not the path of a file", path.display()), "write a path such as `/run/secrets/api-key`".to_owned()))
}

/// Reads a secret file, off the runtime's threads.
///
/// # Errors
/// What is wrong with the file, with its path and what to do, never with what it holds.
pub(in super::super) async fn read(path: &Path) -> Result<Secret, String> {
    off_the_runtime(path, read_now).await
}

/// Reads a secret of several lines, such as a private key in PEM: the same but for what it may hold.
///
/// # Errors
/// As [`read`].
pub(in super::super) async fn read_text(path: &Path) -> Result<Secret, String> {
    off_the_runtime(path, |path| Ok(Secret::new(std::mem::take(&mut *read_bytes(path, Openness::Secret)?)))).await
}

/// Reads a file that is no secret, such as a certificate: everybody may read it.
///
/// # Errors
/// As [`read`].
pub(in super::super) async fn read_public(path: &Path) -> Result<Vec<u8>, String> {
    off_the_runtime(path, |path| Ok(std::mem::take(&mut *read_bytes(path, Openness::Public)?))).await
}

async fn off_the_runtime<T: Send + 'static>(
    path: &Path,
    read: impl FnOnce(&Path) -> Result<T, String> + Send + 'static,
) -> Result<T, String> {
    let owned = path.to_owned();
    tokio::task::spawn_blocking(move || read(&owned))
        .await
        .unwrap_or_else(|_| Err("could not be read: keygress is stopping".to_owned()))
        .map_err(|fault| format!("the file `{}` {fault}", path.display()))
}

/// Why these bytes cannot be a secret on one line; reads on from the name of what holds them.
pub(in super::super) fn check(bytes: &[u8]) -> Result<(), &'static str> {
    let fault = |byte: &u8| match byte {
        b'\n' | b'\r' => Some("holds a line break: it must hold the secret alone, on one line"),
        0 => Some("holds a NUL byte: it must hold the secret as text"),
        0x01..=0x1f | 0x7f => Some("holds a control character: it must hold the secret as text"),
        _ => None,
    };
    if bytes.is_empty() {
        return Err("is empty");
    }
    bytes.iter().find_map(fault).map_or(Ok(()), Err)
}

fn read_now(path: &Path) -> Result<Secret, String> {
    let bytes = read_bytes(path, Openness::Secret)?;
    let line = bytes.strip_suffix(b"\n").map_or(&bytes[..], |line| line.strip_suffix(b"\r").unwrap_or(line));
    check(line)?;
    Ok(Secret::new(line.to_vec()))
}

/// Who may read a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Openness {
    /// Its owner and group.
    Secret,
    /// Everybody.
    Public,
}

fn read_bytes(path: &Path, openness: Openness) -> Result<Zeroizing<Vec<u8>>, String> {
    let file = open(path)?;
    let metadata = file.metadata().map_err(|error| format!("cannot be read: {}", words(error.kind())))?;
    refuse_kind_and_mode(path, &metadata, openness)?;
    // One buffer that never grows, so that no copy of the secret is left behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(FILE_BYTES_MAX + 1));
    std::io::Read::take(file, FILE_BYTES_MAX as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| format!("cannot be read: {}", words(error.kind())))?;
    if bytes.len() > FILE_BYTES_MAX {
        return Err(format!("is larger than {} KiB", FILE_BYTES_MAX / 1024));
    }
    Ok(bytes)
}

/// Opens the file without following a link out of its own folder; the kernel holds that (`RESOLVE_BENEATH`), not a check before.
fn open(path: &Path) -> Result<std::fs::File, String> {
    let name: &OsStr = path.file_name().ok_or("is not a file")?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // Not blocking, so that a pipe in the place of the file cannot hold us.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let mut opened = Err(Errno::AGAIN);
    for _ in 0..OPEN_TRIES {
        let folder = rustix::fs::openat(CWD, folder, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
        opened = folder.and_then(|folder| {
            let beneath = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
            match rustix::fs::openat2(&folder, name, flags, Mode::empty(), beneath) {
                // Before Linux 5.6, or behind an older seccomp profile: then no link at all.
                Err(Errno::NOSYS | Errno::PERM) => rustix::fs::openat(&folder, name, flags | OFlags::NOFOLLOW, Mode::empty()),
                result => result,
            }
        });
        // A folder of a Kubernetes volume is swapped by renaming: the next look finds the new one.
        if !matches!(opened, Err(Errno::AGAIN | Errno::NOENT)) {
            break;
        }
    }
    opened.map(std::fs::File::from).map_err(|errno| match errno {
        Errno::XDEV | Errno::LOOP => "is a symbolic link that leaves its folder: name the file that it points to".to_owned(),
        errno => format!("cannot be read: {}", words(std::io::Error::from(errno).kind())),
    })
}

fn refuse_kind_and_mode(path: &Path, metadata: &std::fs::Metadata, openness: Openness) -> Result<(), String> {
    use std::os::unix::fs::PermissionsExt;

    if !metadata.is_file() {
        return Err("is not a regular file".to_owned());
    }
    let refused = match openness {
        Openness::Secret => 0o006,
        Openness::Public => 0o002,
    };
    let others = metadata.permissions().mode() & refused;
    if others != 0 {
        let may = if others & 0o002 == 0 { "read" } else { "write" };
        return Err(format!(
            "is one that everybody may {may}: `chmod o-rw {}` (of a Kubernetes volume: `defaultMode: 0440`)",
            path.display()
        ));
    }
    Ok(())
}

/// The kind of an I/O error in words of ours.
pub(in super::super) fn words(kind: std::io::ErrorKind) -> String {
    match kind {
        std::io::ErrorKind::NotFound => "it does not exist".to_owned(),
        std::io::ErrorKind::PermissionDenied => "keygress has no permission".to_owned(),
        kind => kind.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::path::PathBuf;

    use super::*;

    fn file(name: &str, content: &[u8], mode: u32) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        put(&path, content, mode);
        (folder, path)
    }

    fn put(path: &Path, content: &[u8], mode: u32) {
        std::fs::write(path, content).unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    fn fault(content: &[u8]) -> String {
        let (_folder, path) = file("key", content, 0o600);
        read_now(&path).unwrap_err()
    }

    #[test]
    fn one_line_break_at_the_end_is_dropped() {
        for content in ["secret", "secret\n", "secret\r\n"] {
            let (_folder, path) = file("key", content.as_bytes(), 0o600);
            assert!(read_now(&path).unwrap().is(b"secret"), "{content:?}");
        }
    }

    #[test]
    fn content_that_is_no_secret_on_one_line_is_refused_and_not_shown() {
        let line_break = "holds a line break: it must hold the secret alone, on one line";
        assert_eq!(fault(b"canary\n\n"), line_break);
        assert_eq!(fault(b"canary\nsecond"), line_break);
        assert_eq!(fault(b"canary\r"), line_break);
        assert_eq!(fault(b"can\0ary"), "holds a NUL byte: it must hold the secret as text");
        assert_eq!(fault(b"can\x1bary"), "holds a control character: it must hold the secret as text");
        assert_eq!(fault(b""), "is empty");
        assert_eq!(fault(b"\n"), "is empty");
        assert_eq!(fault(&[b'a'; FILE_BYTES_MAX + 1]), "is larger than 64 KiB");
    }

    #[test]
    fn the_largest_secret_is_read() {
        let (_folder, path) = file("key", &[b'a'; FILE_BYTES_MAX], 0o600);
        assert_eq!(read_now(&path).unwrap().len(), FILE_BYTES_MAX);
    }

    #[test]
    fn a_file_that_everybody_may_read_or_write_is_refused_and_the_remedy_named() {
        let (_folder, path) = file("key", b"secret", 0o644);
        let fault = read_now(&path).unwrap_err();
        assert!(fault.starts_with("is one that everybody may read: `chmod o-rw "), "{fault}");
        put(&path, b"secret", 0o602);
        assert!(read_now(&path).unwrap_err().starts_with("is one that everybody may write"));
        put(&path, b"secret", 0o640);
        assert!(read_now(&path).is_ok());
    }

    #[tokio::test]
    async fn a_missing_file_is_named() {
        assert_eq!(read(Path::new("/nowhere/api-key")).await.unwrap_err(), "the file `/nowhere/api-key` cannot be read: it does not exist");
    }

    #[test]
    fn a_folder_or_a_pipe_is_refused_without_waiting() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pipe");
        rustix::fs::mknodat(CWD, &path, rustix::fs::FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        assert_eq!(read_now(&path).unwrap_err(), "is not a regular file");
        std::fs::create_dir(folder.path().join("sub")).unwrap();
        assert_eq!(read_now(&folder.path().join("sub")).unwrap_err(), "is not a regular file");
    }

    #[test]
    fn a_link_out_of_the_folder_is_refused() {
        let (outside, target) = file("target", b"secret", 0o600);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        symlink(&target, &path).unwrap();
        let refused = "is a symbolic link that leaves its folder: name the file that it points to";
        assert_eq!(read_now(&path).unwrap_err(), refused);
        std::fs::remove_file(&path).unwrap();
        symlink(Path::new("..").join(outside.path().file_name().unwrap()).join("target"), &path).unwrap();
        assert_eq!(read_now(&path).unwrap_err(), refused);
    }

    #[test]
    fn the_links_of_a_kubernetes_secret_are_followed_and_a_swap_gives_the_new_value() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for (version, content) in [("..v1", "one"), ("..v2", "two")] {
            std::fs::create_dir(at(version)).unwrap();
            put(&at(version).join("key"), content.as_bytes(), 0o440);
        }
        symlink("..v1", at("..data")).unwrap();
        symlink("..data/key", at("key")).unwrap();
        assert!(read_now(&at("key")).unwrap().is(b"one"));
        symlink("..v2", at("..data_tmp")).unwrap();
        std::fs::rename(at("..data_tmp"), at("..data")).unwrap();
        assert!(read_now(&at("key")).unwrap().is(b"two"));
    }

    #[tokio::test]
    async fn a_text_has_lines_and_what_is_public_may_be_read_by_everybody() {
        let (_folder, path) = file("key.pem", b"one\ntwo\n", 0o600);
        assert!(read_text(&path).await.unwrap().is(b"one\ntwo\n"));
        put(&path, b"one\ntwo\n", 0o644);
        assert!(read_text(&path).await.unwrap_err().contains("everybody may read"));
        assert_eq!(read_public(&path).await.unwrap(), b"one\ntwo\n");
        put(&path, b"one\ntwo\n", 0o646);
        assert!(read_public(&path).await.unwrap_err().contains("everybody may write"));
    }
}
