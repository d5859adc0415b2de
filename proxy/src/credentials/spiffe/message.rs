use jiff::Timestamp;
use keygress_policy::material::Secret;
use yasna::models::{GeneralizedTime, UTCTime};
use yasna::tags::{TAG_GENERALIZEDTIME, TAG_UTCTIME};
use yasna::{ASN1Result, BERReader, Tag};

use super::secret;

/// An X.509-SVID.
pub(in super::super) struct X509Svid {
    /// The certificate, then those of its issuers; each in DER.
    pub(in super::super) chain: Vec<Vec<u8>>,
    /// The private key in DER (PKCS#8).
    pub(in super::super) key: Secret,
    /// When the certificate ends.
    pub(in super::super) ends: Timestamp,
}

/// `JWTSVIDRequest`: audience 1, spiffe_id 2.
pub(in super::super) fn jwt_svid_request(audience: &str, id: Option<&String>) -> Vec<u8> {
    let mut request = Vec::new();
    for (number, text) in [(1, Some(audience)), (2, id.map(String::as_str))] {
        if let Some(text) = text {
            request.push(number << 3 | 2);
            let mut length = text.len();
            while length > 0x7f {
                request.push(u8::try_from(length & 0x7f).unwrap_or_default() | 0x80);
                length >>= 7;
            }
            request.push(u8::try_from(length).unwrap_or_default());
            request.extend_from_slice(text.as_bytes());
        }
    }
    request
}

/// The first token of a `JWTSVIDResponse`: svids 1, and in each svid 2.
pub(in super::super) fn jwt_svid(response: &[u8]) -> Option<Secret> {
    let first = fields(response)?.into_iter().find(|(number, _)| *number == 1)?.1;
    fields(first)?.into_iter().find(|(number, _)| *number == 2).map(|(_, token)| secret(token))
}

/// The identity of this name in an `X509SVIDResponse`, or the first: svids 1, and in each spiffe_id 1, x509_svid 2, x509_svid_key 3.
pub(in super::super) fn x509_svids(response: &[u8], id: Option<&String>) -> Option<X509Svid> {
    let mut svids = fields(response)?.into_iter().filter(|(number, _)| *number == 1).filter_map(|(_, svid)| fields(svid));
    let part = |svid: &[(u64, &[u8])], wanted: u64| svid.iter().find(|(number, _)| *number == wanted).map(|(_, bytes)| bytes.to_vec());
    let svid = svids.find(|svid| id.is_none_or(|id| part(svid, 1).as_deref() == Some(id.as_bytes())))?;
    let chain = certificates(&part(&svid, 2)?)?;
    let key = svid.iter().find(|(number, _)| *number == 3).map(|(_, key)| secret(key))?;
    let ends = end_of(chain.first()?)?;
    Some(X509Svid { chain, key, ends })
}

/// The fields of a message that are texts, bytes or messages, by their numbers; all others are passed over. `None` where it is no message
/// of Protocol Buffers.
fn fields(mut message: &[u8]) -> Option<Vec<(u64, &[u8])>> {
    let mut found = Vec::new();
    while !message.is_empty() {
        let key = varint(&mut message)?;
        let length = match key & 7 {
            0 => {
                varint(&mut message)?;
                continue;
            }
            1 => 8,
            2 => usize::try_from(varint(&mut message)?).ok()?,
            5 => 4,
            _ => return None,
        };
        let (field, rest) = message.split_at_checked(length)?;
        message = rest;
        if key & 7 == 2 {
            found.push((key >> 3, field));
        }
    }
    Some(found)
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(byte & 0x7f).checked_shl(shift)?;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

/// Certificates in DER, one behind the other.
fn certificates(mut bytes: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut found = Vec::new();
    while let [0x30, first, after @ ..] = bytes {
        let (header, length) = match first {
            0..=0x7f => (2, usize::from(*first)),
            0x81 => (3, usize::from(*after.first()?)),
            0x82 => (4, usize::from(u16::from_be_bytes([*after.first()?, *after.get(1)?]))),
            _ => return None,
        };
        let (certificate, rest) = bytes.split_at_checked(header + length)?;
        found.push(certificate.to_vec());
        bytes = rest;
    }
    (bytes.is_empty() && !found.is_empty()).then_some(found)
}

/// When a certificate ends (RFC 5280, section 4.1).
fn end_of(certificate: &[u8]) -> Option<Timestamp> {
    let end = yasna::parse_der(certificate, |reader| {
        reader.read_sequence(|certificate| {
            let end = certificate.next().read_sequence(|signed| {
                signed.next().read_tagged(Tag::context(0), |reader| reader.read_der())?;
                for _serial_algorithm_issuer in 0..3 {
                    signed.next().read_der()?;
                }
                let end = signed.next().read_sequence(|validity| {
                    validity.next().read_der()?;
                    moment(validity.next())
                })?;
                while signed.read_optional(|reader| reader.read_der())?.is_some() {}
                Ok(end)
            })?;
            certificate.next().read_der()?;
            certificate.next().read_der()?;
            Ok(end)
        })
    });
    Timestamp::from_second(end.ok()?).ok()
}

fn moment(reader: BERReader<'_, '_>) -> ASN1Result<i64> {
    let der = reader.read_der()?;
    yasna::parse_der(&der, |reader| match reader.lookahead_tag()? {
        TAG_UTCTIME => reader.read_utctime().map(|time: UTCTime| time.datetime().unix_timestamp()),
        TAG_GENERALIZEDTIME => reader.read_generalized_time().map(|time: GeneralizedTime| time.datetime().unix_timestamp()),
        _ => Err(yasna::ASN1Error::new(yasna::ASN1ErrorKind::Invalid)),
    })
}
