use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::*;

/// An archive of these entries: name, kind, content.
fn tar(entries: &[(&str, u8, &[u8])]) -> Vec<u8> {
    let mut archive = Vec::new();
    for (name, kind, content) in entries {
        let mut header = [0_u8; 512];
        header[..name.len().min(100)].copy_from_slice(&name.as_bytes()[..name.len().min(100)]);
        header[124..135].copy_from_slice(format!("{:011o}", content.len()).as_bytes());
        header[136..147].copy_from_slice(format!("{:011o}", 86400 * 365).as_bytes());
        header[148..156].copy_from_slice(b"        ");
        header[156] = *kind;
        header[257..265].copy_from_slice(b"ustar\x0000");
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
        archive.extend_from_slice(&header);
        archive.extend_from_slice(content);
        archive.resize(archive.len().div_ceil(512) * 512, 0);
    }
    archive.extend_from_slice(&[0; 1024]);
    archive
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut out = GzEncoder::new(Vec::new(), Compression::fast());
    out.write_all(bytes).unwrap();
    out.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![0; zstd_safe::compress_bound(bytes.len())];
    let length = zstd_safe::compress(out.as_mut_slice(), bytes, 3).unwrap();
    out.truncate(length);
    out
}

fn scan_bytes(name: &str, bytes: &[u8], bound: u64) -> Scanned {
    let folder = folder(&[(name, bytes)]);
    let scanned = scan_with(&[folder.path().to_owned()], &[], None, bound);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "something was unpacked");
    scanned
}

#[test]
fn the_layers_of_an_image_are_searched_however_they_are_packed() {
    let key = key("groq");
    let text = format!("one\nGROQ_API_KEY={key}\n");
    let layer = tar(&[("etc/app.env", b'0', text.as_bytes()), ("bin/tool", b'0', b"\x7fELF\0\0"), ("etc/link", b'2', b"")]);
    let config = format!("{{\"config\":{{\"Env\":[\"GROQ_API_KEY={key}\"]}}}}");
    let image = |layer: &[u8]| {
        tar(&[("blobs/sha256/aa", b'0', layer), ("blobs/sha256/bb", b'0', config.as_bytes()), ("manifest.json", b'0', b"[]")])
    };
    for packed in [layer.clone(), gzip(&layer), zstd(&layer)] {
        for whole in [image(&packed), gzip(&image(&packed))] {
            let scanned = scan_bytes("image.tar", &whole, 1 << 30);
            let mut files: Vec<_> = scanned.rows.iter().map(|row| row.file.rsplit("image.tar").next().unwrap()).collect();
            files.sort_unstable();
            assert_eq!(files, ["!blobs/sha256/aa!etc/app.env", "!blobs/sha256/bb"]);
            assert_eq!((scanned.binary, scanned.incomplete.len()), (1, 0));
            assert_eq!(scanned.rows.iter().find(|row| row.line == Some(2)).unwrap().age_from, Some("archive"));
            assert_silent(&scanned, &[&key]);
        }
    }
}

#[test]
fn names_in_an_archive_are_shown_and_never_opened() {
    let key = key("groq");
    let long = format!("{}/deep.env", "very-long".repeat(20));
    let record = |name: &str| {
        let rest = format!(" path={name}\n");
        format!("{}{rest}", rest.len() + 3)
    };
    let archive = tar(&[
        ("../../../outside.env", b'0', key.as_bytes()),
        ("/etc/absolute.env", b'0', key.as_bytes()),
        ("././@LongLink", b'L', long.as_bytes()),
        ("cut", b'0', key.as_bytes()),
        ("pax", b'x', record(&long.replace("deep", "other")).as_bytes()),
        ("cut", b'0', key.as_bytes()),
        ("device", b'3', b""),
        ("hard", b'1', b""),
    ]);
    let scanned = scan_bytes("a.tar", &archive, 1 << 30);
    let mut files: Vec<_> = scanned.rows.iter().map(|row| row.file.rsplit("a.tar!").next().unwrap().to_owned()).collect();
    files.sort_unstable();
    assert_eq!(files, ["../../../outside.env".to_owned(), "/etc/absolute.env".to_owned(), long.clone(), long.replace("deep", "other")]);
}

#[test]
fn a_bomb_is_stopped_and_that_is_told() {
    let key = key("groq");
    let bomb = gzip(&vec![b'\n'; 8 << 20]);
    let archive = tar(&[("early.env", b'0', key.as_bytes()), ("bomb.gz", b'0', &bomb), ("late.env", b'0', key.as_bytes())]);
    let scanned = scan_bytes("a.tar", &archive, 1 << 20);
    assert_eq!(scanned.rows.len(), 1, "what came before it is found");
    assert!(scanned.incomplete[0].why.contains("--unpack-max"), "{:?}", scanned.incomplete);
    let nested = (0..12).fold(key.into_bytes(), |inner, _| gzip(&inner));
    assert!(scan_bytes("deep.gz", &nested, 1 << 30).incomplete[0].why.contains("deep"));
}

#[test]
fn what_is_broken_is_told_and_the_rest_is_searched() {
    let key = key("groq");
    let layer = gzip(&tar(&[("a.env", b'0', key.as_bytes())]));
    let archive = tar(&[("cut.gz", b'0', &layer[..layer.len() / 2]), ("b.env", b'0', key.as_bytes())]);
    let scanned = scan_bytes("a.tar", &archive, 1 << 30);
    assert_eq!((scanned.rows.len(), scanned.incomplete.len()), (1, 1), "{:?}", scanned.incomplete);
    let whole = tar(&[("a.env", b'0', key.as_bytes()), ("b.env", b'0', &[b'x'; 4096])]);
    let cut = scan_bytes("cut.tar", &whole[..2048], 1 << 30);
    assert_eq!(cut.rows.len(), 1);
    assert!(cut.incomplete[0].why.contains("ends too early"), "{:?}", cut.incomplete);
    for bytes in [&b"\x1f\x8b\x08garbage"[..], b"\x28\xb5\x2f\xfdgarbage"] {
        assert_eq!(scan_bytes("a.bin", bytes, 1 << 30).incomplete.len(), 1);
    }
}
