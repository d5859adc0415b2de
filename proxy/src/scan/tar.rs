use std::io::{self, Read};

/// Blocks of an archive.
const BLOCK: usize = 512;

/// The longest name, and the longest block of extended headers, in bytes.
const NAME_BYTES_MAX: u64 = 64 << 10;

/// A file in an archive.
pub(super) struct Entry {
    /// Its name, as the archive gives it. It is shown, and never opened.
    pub(super) name: String,
    /// When it changed last, in milliseconds.
    pub(super) changed: Option<i64>,
}

/// Whether this is the beginning of an archive.
pub(super) fn begins(head: &[u8]) -> bool {
    head.get(257..262) == Some(b"ustar") && head.get(..BLOCK).is_some_and(fits)
}

/// Hands every regular file of an archive on, with a reader of what it holds. Links, devices and folders are passed over.
///
/// # Errors
/// Where it is broken or ends too early, or as `take` says.
pub(super) fn read(archive: &mut dyn Read, mut take: impl FnMut(&Entry, &mut dyn Read) -> io::Result<()>) -> io::Result<()> {
    let mut header = [0; BLOCK];
    let mut given = Given::default();
    loop {
        if !fill(archive, &mut header)? || header.iter().all(|byte| *byte == 0) {
            return Ok(());
        }
        if !fits(&header) {
            return Err(broken("it is no archive, or is broken"));
        }
        let kind = header.get(156).copied().unwrap_or_default();
        let own = number(field(&header, 124, 12)).ok_or_else(|| broken("a size in it is none"))?;
        match kind {
            b'L' | b'x' => {
                let text = text(archive, own)?;
                if kind == b'L' {
                    given.name = Some(until_zero(&text).to_vec())
                } else {
                    given.extend(&text)
                }
                continue;
            }
            b'K' | b'g' => {
                drain(&mut archive.take(padded(own)))?;
                continue;
            }
            _ => {}
        }
        let Given { name, size, changed } = std::mem::take(&mut given);
        let size = size.unwrap_or(own);
        let name = name.unwrap_or_else(|| own_name(&header));
        let changed =
            changed.or_else(|| number(field(&header, 136, 12)).and_then(|seconds| i64::try_from(seconds).ok()?.checked_mul(1000)));
        let mut content = archive.take(size);
        if matches!(kind, b'0' | 0 | b'7') {
            let entry = Entry { name: String::from_utf8_lossy(&name).into_owned(), changed };
            take(&entry, &mut content)?;
        }
        drain(&mut content)?;
        if content.limit() > 0 {
            return Err(broken("it ends too early"));
        }
        drain(&mut archive.take(padded(size) - size))?;
    }
}

/// What extended headers say of the next entry.
#[derive(Default)]
struct Given {
    name: Option<Vec<u8>>,
    size: Option<u64>,
    changed: Option<i64>,
}

impl Given {
    /// Takes records of the form `LENGTH KEY=VALUE\n`.
    fn extend(&mut self, mut text: &[u8]) {
        while let Some(space) = text.iter().position(|byte| *byte == b' ') {
            let length = text.get(..space).and_then(|digits| std::str::from_utf8(digits).ok()?.parse::<usize>().ok());
            let Some((record, rest)) = length.and_then(|length| text.split_at_checked(length)) else { return };
            text = rest;
            let Some((key, value)) = record.get(space + 1..).and_then(|pair| std::str::from_utf8(pair).ok()?.trim_end().split_once('='))
            else {
                continue;
            };
            match key {
                "path" => self.name = Some(value.as_bytes().to_vec()),
                "size" => self.size = value.parse().ok(),
                "mtime" => self.changed = value.split('.').next().and_then(|seconds| seconds.parse::<i64>().ok()?.checked_mul(1000)),
                _ => {}
            }
        }
    }
}

fn own_name(header: &[u8]) -> Vec<u8> {
    let (name, prefix) = (until_zero(field(header, 0, 100)), until_zero(field(header, 345, 155)));
    let is_ustar = header.get(257..263) == Some(b"ustar\0");
    if is_ustar && !prefix.is_empty() { [prefix, b"/", name].concat() } else { name.to_vec() }
}

fn field(header: &[u8], at: usize, length: usize) -> &[u8] {
    header.get(at..at + length).unwrap_or_default()
}

fn until_zero(text: &[u8]) -> &[u8] {
    text.split(|byte| *byte == 0).next().unwrap_or_default()
}

/// Octal digits, or a binary number after a first bit that is set.
fn number(field: &[u8]) -> Option<u64> {
    if let Some((first, rest)) = field.split_first()
        && first & 0x80 != 0
    {
        let add = |sum: u64, byte: &u8| sum.checked_mul(256)?.checked_add(u64::from(*byte));
        return rest.iter().try_fold(u64::from(first & 0x7f), add);
    }
    let digits = std::str::from_utf8(field).ok()?.trim_matches(|c: char| c == ' ' || c == '\0');
    if digits.is_empty() { Some(0) } else { u64::from_str_radix(digits, 8).ok() }
}

/// Whether the checksum of a header fits.
fn fits(header: &[u8]) -> bool {
    let sum = (header.iter().enumerate()).map(|(at, byte)| u64::from(if (148..156).contains(&at) { b' ' } else { *byte })).sum::<u64>();
    number(field(header, 148, 8)) == Some(sum)
}

fn padded(size: u64) -> u64 {
    size.div_ceil(BLOCK as u64).saturating_mul(BLOCK as u64)
}

fn text(archive: &mut dyn Read, size: u64) -> io::Result<Vec<u8>> {
    if size > NAME_BYTES_MAX {
        return Err(broken("a name in it is too long"));
    }
    let mut text = Vec::new();
    archive.take(padded(size)).read_to_end(&mut text)?;
    text.truncate(usize::try_from(size).unwrap_or(0));
    Ok(text)
}

fn drain(rest: &mut dyn Read) -> io::Result<()> {
    io::copy(rest, &mut io::sink()).map(drop)
}

/// Fills the block; `false` at the end of the archive.
fn fill(archive: &mut dyn Read, block: &mut [u8; BLOCK]) -> io::Result<bool> {
    let mut filled = 0;
    while let Some(room) = block.get_mut(filled..).filter(|room| !room.is_empty()) {
        match archive.read(room)? {
            0 if filled == 0 => return Ok(false),
            0 => return Err(broken("it ends too early")),
            read => filled += read,
        }
    }
    Ok(true)
}

fn broken(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}
