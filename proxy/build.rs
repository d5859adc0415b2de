//! A smaller binary. It carries the texts that it shows as they are compressed. And what is relocated at start is written down short
//! (`DT_RELR`), a twenty-fifth of it all, where the linker is the one that rustc brings and the C library of this machine reads it.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use flate2::Compression;
use flate2::write::GzEncoder;

/// What `keygress schema` shows.
const TEXTS: [&str; 2] = ["schema.json", "../policy/reference.md"];

/// The first glibc that reads it.
const GLIBC: (u32, u32) = (2, 36);

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed=build.rs");
    TEXTS.map(Path::new).into_iter().try_for_each(pack)?;
    let of = |name: &str| std::env::var(name).unwrap_or_default();
    let is_default =
        of("TARGET") == "x86_64-unknown-linux-gnu" && of("RUSTC_LINKER").is_empty() && of("CARGO_ENCODED_RUSTFLAGS").is_empty();
    let is_release = is_default && of("PROFILE") == "release";
    if is_release && brings_linker(&of("RUSTC")) && glibc().is_some_and(|version| version >= GLIBC) {
        println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
    Ok(())
}

/// Compresses a text to a file of its name in the folder of what is built.
fn pack(text: &Path) -> io::Result<()> {
    println!("cargo::rerun-if-changed={}", text.display());
    let name = text.file_name().unwrap_or_default().to_string_lossy();
    let folder = PathBuf::from(std::env::var_os("OUT_DIR").unwrap_or_default());
    let mut packed = GzEncoder::new(File::create(folder.join(format!("{name}.gz")))?, Compression::best());
    packed.write_all(&fs::read(text)?)?;
    packed.finish().map(drop)
}

/// Whether this rustc brings the linker that it uses by itself.
fn brings_linker(rustc: &str) -> bool {
    let libraries = PathBuf::from(printed(Command::new(rustc).args(["--print", "target-libdir"])));
    libraries.parent().map(Path::to_path_buf).is_some_and(|target| target.join("bin/gcc-ld/ld.lld").exists())
}

/// The version of the C library of this machine.
fn glibc() -> Option<(u32, u32)> {
    let version = printed(Command::new("getconf").arg("GNU_LIBC_VERSION"));
    let (major, minor) = version.strip_prefix("glibc ")?.split_once('.')?;
    Some((major.parse().ok()?, minor.split('.').next()?.parse().ok()?))
}

fn printed(command: &mut Command) -> String {
    command.output().map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default()
}
