use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Characters of a checksum in base 62.
const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// How many characters such a checksum has.
const BASE62_LENGTH: usize = 6;

/// Words that stand in documents where a key would stand.
const WORDS: [&str; 16] = [
    "example",
    "placeholder",
    "changeme",
    "change_me",
    "your",
    "redacted",
    "dummy",
    "fake",
    "sample",
    "insert",
    "xxxx",
    "****",
    "....",
    "0123456789",
    "1234567890",
    "abcdefgh",
];

/// Fewer different characters than this are no random text, given so many.
const DIFFERENT_MIN: usize = 7;

/// Whether a text is what people write where a key would stand.
#[must_use]
pub fn is_stand_in(body: &[u8]) -> bool {
    let lower = body.to_ascii_lowercase();
    let has = |word: &str| lower.windows(word.len()).any(|part| part == word.as_bytes());
    let mut seen = [false; 256];
    for byte in &lower {
        if let Some(seen) = seen.get_mut(usize::from(*byte)) {
            *seen = true;
        }
    }
    let different = seen.iter().filter(|seen| **seen).count();
    different < DIFFERENT_MIN || longest_repeat(&lower) >= 6 || WORDS.iter().any(|word| has(word))
}

/// The length of the longest run of one character.
fn longest_repeat(text: &[u8]) -> usize {
    text.chunk_by(|one, other| one == other).map(<[u8]>::len).max().unwrap_or(0)
}

/// Whether the last six characters are the CRC-32 of the rest, in base 62.
pub(super) fn crc32_base62(body: &[u8]) -> bool {
    let Some((text, sum)) = body.len().checked_sub(BASE62_LENGTH).and_then(|at| body.split_at_checked(at)) else { return false };
    let mut rest = u64::from(crc32(text));
    sum.iter().rev().all(|digit| {
        let expected = usize::try_from(rest % 62).ok().and_then(|index| BASE62.get(index));
        rest /= 62;
        expected == Some(digit)
    })
}

/// Whether what follows the last `_` is the CRC-32 of all before it, its bytes reversed, in hexadecimal.
pub(super) fn crc32_hex(value: &[u8]) -> bool {
    let Some(at) = value.iter().rposition(|byte| *byte == b'_') else { return false };
    let (Some(text), Some(sum)) = (value.get(..at), value.get(at + 1..)) else { return false };
    format!("{:08x}", crc32(text).swap_bytes()).as_bytes() == sum
}

/// Whether what stands before the first `.` is a JSON object in base64.
pub(super) fn json_head(value: &[u8]) -> bool {
    let head = value.split(|byte| *byte == b'.').next().unwrap_or_default();
    URL_SAFE_NO_PAD.decode(head).is_ok_and(|head| head.starts_with(b"{") && head.ends_with(b"}"))
}

/// CRC-32 as zip and Ethernet have it.
fn crc32(text: &[u8]) -> u32 {
    let step = |sum: u32, _| if sum & 1 == 1 { (sum >> 1) ^ 0xEDB8_8320 } else { sum >> 1 };
    !text.iter().fold(u32::MAX, |sum, byte| (0..8).fold(sum ^ u32::from(*byte), step))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checksum_is_the_vendors() {
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
        // The token of GitHub's own documents.
        assert!(crc32_base62(b"zQWBuTSOoRi4A9spHcVY5ncnsDkxkJ0mLq17"));
        assert!(!crc32_base62(b"zQWBuTSOoRi4A9spHcVY5ncnsDkxkJ0mLq18"));
        assert!(!crc32_base62(b"17"));
        assert!(crc32_hex(concat!("glsa", "_HOruNAb7SOiCdshU9algkrq7FDsNSLAa_54e2f8be").as_bytes()));
        assert!(!crc32_hex(concat!("glsa", "_HOruNAb7SOiCdshU9algkrq7FDsNSLAb_54e2f8be").as_bytes()));
        assert!(json_head(b"eyJhbGciOiJSUzI1NiJ9.e30.c2ln") && !json_head(b"eyJhbGciOiJSUzI1Ni.e30.c2ln"));
    }

    #[test]
    fn what_people_write_for_a_key_is_none() {
        for text in
            ["AKIAIOSFODNN7EXAMPLE", "xxxxxxxxxxxxxxxx", "aaaabbbbaaaabbbb", "your-key-goes-here", "q7W0123456789zzKp", "a1b2c3d4......q9z"]
        {
            assert!(is_stand_in(text.as_bytes()), "{text}");
        }
        for text in ["zQWBuTSOoRi4A9spHcVY", "9f86d081884c7d659a2feaa0c55ad015"] {
            assert!(!is_stand_in(text.as_bytes()), "{text}");
        }
    }
}
