use base64::Engine;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD as PADDED, URL_SAFE_NO_PAD};
use schemars::JsonSchema;
use serde::Deserialize;
use zeroize::Zeroizing;

use crate::material::Secret;

/// How bytes are written as text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Encoding {
    /// Hexadecimal digits, lower case.
    #[default]
    Hex,
    /// Base64 with padding.
    Base64,
    /// The URL-safe alphabet of base64, without padding.
    Base64url,
}

/// How a credential spells a shared key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum KeyForm {
    /// Its bytes are the key.
    #[default]
    Text,
    /// Hexadecimal digits.
    Hex,
    /// Base64, with or without padding.
    Base64,
    /// The URL-safe alphabet of base64, with or without padding.
    Base64url,
}

const LENIENT: GeneralPurposeConfig = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const ANY_PADDED: GeneralPurpose = GeneralPurpose::new(&STANDARD, LENIENT);
const ANY_URL_SAFE: GeneralPurpose = GeneralPurpose::new(&URL_SAFE, LENIENT);

impl Encoding {
    pub(super) fn write(self, bytes: &[u8]) -> String {
        match self {
            Self::Hex => hex(bytes),
            Self::Base64 => PADDED.encode(bytes),
            Self::Base64url => URL_SAFE_NO_PAD.encode(bytes),
        }
    }
}

impl KeyForm {
    /// The key itself.
    pub(super) fn read(self, spelled: &Secret) -> Result<Zeroizing<Vec<u8>>, String> {
        let text = spelled.expose();
        let key = match self {
            Self::Text => Some(text.to_vec()),
            Self::Hex => unhex(text),
            Self::Base64 => ANY_PADDED.decode(text).ok(),
            Self::Base64url => ANY_URL_SAFE.decode(text).ok(),
        };
        let key = Zeroizing::new(key.ok_or("it is not written as `key` says")?);
        if key.is_empty() { Err("it is empty".to_owned()) } else { Ok(key) }
    }
}

/// Hexadecimal digits, lower case.
pub(super) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| DIGITS.get(usize::from(nibble)).map_or('0', |digit| char::from(*digit));
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

fn unhex(text: &[u8]) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let (pairs, rest) = text.as_chunks::<2>();
    rest.is_empty().then(|| pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_as_it_is_spelled() {
        for (form, spelled, key) in [
            (KeyForm::Text, "k\u{fc}", &b"k\xc3\xbc"[..]),
            (KeyForm::Hex, "00fFa1", b"\x00\xff\xa1"),
            (KeyForm::Base64, "+/8=", b"\xfb\xff"),
            (KeyForm::Base64, "+/8", b"\xfb\xff"),
            (KeyForm::Base64url, "-_8", b"\xfb\xff"),
        ] {
            assert_eq!(&form.read(&Secret::new(spelled.into())).unwrap()[..], key, "{spelled}");
        }
        for (form, spelled) in
            [(KeyForm::Text, ""), (KeyForm::Hex, "abc"), (KeyForm::Hex, "0g"), (KeyForm::Base64, "-_8"), (KeyForm::Base64url, "+/8")]
        {
            assert!(form.read(&Secret::new(spelled.into())).is_err(), "{spelled}");
        }
    }

    #[test]
    fn bytes_are_written_in_each_encoding() {
        let bytes = [0xfb, 0xff, 0x0a];
        assert_eq!(
            [Encoding::Hex, Encoding::Base64, Encoding::Base64url].map(|encoding| encoding.write(&bytes)),
            ["fbff0a", "+/8K", "-_8K"]
        );
    }
}
