//! How a form may begin: its first bytes, as each encoder in use would write them. What comes after may mix them.

use super::form::hexadecimal;

/// How many bytes are searched for at once; as many as the shortest value has.
pub(super) const HEAD_BYTES: usize = 8;

/// The first bytes of a form.
pub(super) type Head = [u8; HEAD_BYTES];

/// Which characters an encoder leaves as they are.
type Keeps = fn(u8) -> bool;

/// Percent encoders, from the one that encodes everything to the one that encodes next to nothing.
const PERCENT: [Keeps; 8] = [
    |_| false,
    |byte| byte.is_ascii_alphanumeric(),
    // The unreserved characters of RFC 3986.
    |byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte),
    // Forms of the URL standard; a space is `+` there.
    |byte| byte.is_ascii_alphanumeric() || b"*-._ ".contains(&byte),
    // encodeURIComponent.
    |byte| byte.is_ascii_alphanumeric() || b"-_.!~*'()".contains(&byte),
    // encodeURI.
    |byte| byte.is_ascii_alphanumeric() || b"-_.!~*'();/?:@&=+$,#".contains(&byte),
    // Paths and queries of the URL standard.
    |byte| byte.is_ascii_graphic() && !b"\"#<>?`{}'%".contains(&byte),
    // grpc-message.
    |byte| matches!(byte, b' '..=b'~') && byte != b'%',
];

/// JSON encoders: which characters they leave as they are, and which they escape with a `\` alone; the others become `\u`.
const JSON: [(Keeps, &[u8]); 6] = [
    (|_| false, b""),
    (|byte| byte.is_ascii_alphanumeric(), b""),
    (|byte| matches!(byte, b' '..=b'~') && !b"\"\\".contains(&byte), b"\"\\"),
    // With the slash, as in PHP.
    (|byte| matches!(byte, b' '..=b'~') && !b"\"\\/".contains(&byte), b"\"\\/"),
    // Safe inside HTML, as in Go.
    (|byte| matches!(byte, b' '..=b'~') && !b"\"\\<>&'".contains(&byte), b"\"\\"),
    // As in .NET.
    (|byte| matches!(byte, b' '..=b'~') && !b"\"\\<>&'+`".contains(&byte), b"\\"),
];

/// The case of hexadecimal digits.
type Case = fn(&u8) -> u8;

const CASES: [Case; 2] = [u8::to_ascii_lowercase, u8::to_ascii_uppercase];

/// Every way in which this text may begin.
pub(super) fn of_text(text: &[u8]) -> Vec<Head> {
    let mut heads = Heads::default();
    heads.take(text.iter().copied());
    heads.encoded(text, &PERCENT, &JSON);
    heads.0
}

/// Every way in which digits may begin that are written like one of these. What escapes letters too is left out.
pub(super) fn of_digits(spellings: &[Vec<u8>]) -> Vec<Head> {
    let mut heads = Heads::default();
    for digits in spellings {
        heads.take(digits.iter().copied());
        if digits.iter().take(HEAD_BYTES).all(u8::is_ascii_alphanumeric) {
            // Nothing that these encoders would touch.
            continue;
        }
        heads.encoded(digits, PERCENT.split_at(1).1, JSON.split_at(1).1);
    }
    heads.0
}

#[derive(Default)]
struct Heads(Vec<Head>);

impl Heads {
    fn encoded(&mut self, text: &[u8], percent: &[Keeps], json: &[(Keeps, &[u8])]) {
        for case in CASES {
            for keeps in percent {
                self.take(text.iter().flat_map(|byte| percent_encoded(*byte, *keeps, case)));
                let plus = |byte: u8| if byte == b' ' { b'+' } else { byte };
                self.take(text.iter().flat_map(|byte| percent_encoded(*byte, *keeps, case)).map(plus));
            }
            for (keeps, marked) in json {
                self.take(characters(text).flat_map(|character| json_encoded(character, *keeps, marked, case)));
                // The same encoder, where it leaves what is not ASCII as it is.
                self.take(characters(text).flat_map(|character| match character {
                    Ok(character) if !character.is_ascii() => character.to_string().into_bytes(),
                    other => json_encoded(other, *keeps, marked, case),
                }));
            }
        }
    }

    fn take(&mut self, spelled: impl Iterator<Item = u8>) {
        let spelled: Vec<u8> = spelled.take(HEAD_BYTES).collect();
        if let Ok(head) = Head::try_from(spelled)
            && !self.0.contains(&head)
        {
            self.0.push(head);
        }
    }
}

fn percent_encoded(byte: u8, keeps: Keeps, case: Case) -> Vec<u8> {
    if keeps(byte) { vec![byte] } else { vec![b'%', case(&hexadecimal(byte >> 4)), case(&hexadecimal(byte & 15))] }
}

fn json_encoded(character: Result<char, u8>, keeps: Keeps, marked: &[u8], case: Case) -> Vec<u8> {
    let character = match character {
        Ok(character) => character,
        Err(byte) => return vec![byte],
    };
    match u8::try_from(character) {
        Ok(byte) if byte.is_ascii() && keeps(byte) => vec![byte],
        Ok(byte) if byte.is_ascii() && marked.contains(&byte) => vec![b'\\', byte],
        Ok(_) | Err(_) => unicode(character, case),
    }
}

/// A character as `\uXXXX`, twice where it needs a surrogate pair.
pub(super) fn unicode(character: char, case: Case) -> Vec<u8> {
    let units = character.encode_utf16(&mut [0; 2]).to_vec();
    let nibbles = |unit: u16| [unit >> 12, unit >> 8 & 15, unit >> 4 & 15, unit & 15];
    let digit = |nibble: u16| case(&hexadecimal(u8::try_from(nibble).unwrap_or_default()));
    units.into_iter().flat_map(|unit| [b'\\', b'u'].into_iter().chain(nibbles(unit).map(digit))).collect()
}

/// The characters of a text, or its bytes where they are none.
fn characters(text: &[u8]) -> impl Iterator<Item = Result<char, u8>> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let (first, others) = rest.split_first()?;
        let Some(character) = first_char(rest) else {
            rest = others;
            return Some(Err(*first));
        };
        rest = rest.get(character.len_utf8()..)?;
        Some(Ok(character))
    })
}

/// The character that bytes begin with.
pub(super) fn first_char(bytes: &[u8]) -> Option<char> {
    let chunk = bytes.get(..4).unwrap_or(bytes);
    chunk.utf8_chunks().next()?.valid().chars().next()
}
