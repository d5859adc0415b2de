//! The crate of the AWS SDK for Rust signs the same requests, and must come to the same signatures.
#![expect(clippy::disallowed_types, reason = "the other side takes its time in this type")]

use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SignatureLocation, SigningSettings, UriPathNormalizationMode,
    sign,
};
use aws_sigv4::sign::v4;
use proptest::prelude::*;

use super::super::super::pairs;
use super::super::super::tests::{self, aws_keys, head, injection};
use super::*;

/// The headers that AWS wants signed, in names and in values.
const SIGNED: [&str; 5] = ["content-type", "content-md5", "x-amz-acl", "x-amz-meta-a", "x-amz-target"];

type Pairs = Vec<(String, String)>;

#[derive(Debug)]
struct Case {
    service: &'static str,
    method: &'static str,
    target: String,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
    token: Option<String>,
    seconds: i64,
}

impl Case {
    fn authority(&self) -> String {
        format!("{}.eu-west-1.amazonaws.com", self.service)
    }

    fn head(&self) -> Parts {
        let headers: Vec<_> = self.headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let mut head = head(&self.target, &headers);
        head.method = self.method.parse().unwrap();
        head
    }

    fn ours(&self, head: &mut Parts) {
        let injection = injection(&format!("sigv4: {{ services: [{}], regions: [eu-west-1] }}", self.service));
        let rendered = injection.render(&aws_keys(self.token.as_deref())).unwrap();
        let now = jiff::Timestamp::from_second(self.seconds).unwrap();
        injection.act(head, &rendered, &Sending { now, authority: &self.authority(), body: Some(&self.body), ..tests::sending() }).unwrap();
    }

    /// What the oracle adds: headers, or pairs of the query.
    fn theirs(&self, location: SignatureLocation) -> (Pairs, Pairs) {
        let identity = Credentials::new("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", self.token.clone(), None, "test").into();
        let mut settings = SigningSettings::default();
        let s3 = self.service == "s3";
        let query = location == SignatureLocation::QueryParams;
        settings.signature_location = location;
        settings.expires_in = query.then_some(Duration::from_secs(300));
        if s3 {
            settings.percent_encoding_mode = PercentEncodingMode::Single;
            settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
            settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
        }
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(self.seconds.unsigned_abs());
        let params =
            v4::SigningParams::builder().identity(&identity).region("eu-west-1").name(self.service).time(time).settings(settings).build();
        let params = params.unwrap().into();
        let headers = self.headers.iter().map(|(name, value)| (*name, value.as_str()));
        let body = if s3 && query { SignableBody::UnsignedPayload } else { SignableBody::Bytes(&self.body) };
        let uri = format!("https://{}{}", self.authority(), self.target);
        let request = SignableRequest::new(self.method, uri, headers, body).unwrap();
        let (instructions, _) = sign(request, &params).unwrap().into_parts();
        let headers = instructions.headers().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let pairs = instructions.params().iter().map(|(key, value)| ((*key).to_owned(), value.to_string())).collect();
        (headers, pairs)
    }
}

/// A path as a client of S3 encodes it; what others send besides is read differently by every service.
fn path() -> impl Strategy<Value = String> {
    let piece = prop_oneof![4 => "[a-zA-Z0-9._~-]{1,6}", 1 => Just("%20".to_owned()), 1 => Just("%C3%A9".to_owned()), 1 => Just("%2B%3D".to_owned())];
    let segment = prop::collection::vec(piece, 1..4).prop_map(|pieces| pieces.concat());
    prop::collection::vec(segment, 0..5).prop_map(|segments| format!("/{}", segments.join("/")))
}

fn query() -> impl Strategy<Value = String> {
    let text = "[a-zA-Z0-9._~-]{0,5}(%20|%2F|%3D|%E1%88%B4|[+:,/])?";
    prop::collection::vec(("[a-z]{1,4}", text).prop_map(|(key, value)| format!("{key}={value}")), 0..6).prop_map(|pairs| pairs.join("&"))
}

fn case() -> impl Strategy<Value = Case> {
    let header = (0..SIGNED.len(), "[!-~]([ -~]{0,12}[!-~])?").prop_map(|(name, value)| (SIGNED[name], value));
    let message =
        (prop_oneof![Just("GET"), Just("PUT"), Just("POST"), Just("DELETE")], path(), query(), prop::collection::vec(header, 0..5));
    let rest = (prop::collection::vec(any::<u8>(), 0..40), prop::option::of("[A-Za-z0-9/+=]{1,40}"), 1_000_000_000_i64..4_000_000_000);
    (prop_oneof![Just("s3"), Just("sqs"), Just("execute-api")], message, rest).prop_map(
        |(service, (method, path, query, headers), (body, token, seconds))| {
            let target = if query.is_empty() { path } else { format!("{path}?{query}") };
            let mut seen = Vec::new();
            let headers = headers
                .into_iter()
                .filter(|(name, _)| {
                    !seen.contains(name) && {
                        seen.push(*name);
                        true
                    }
                })
                .collect();
            Case { service, method, target, headers, body, token, seconds }
        },
    )
}

proptest! {
    #[test]
    fn a_header_is_signed_as_the_sdk_signs_it(case in case()) {
        let mut head = case.head();
        case.ours(&mut head);
        let (headers, _) = case.theirs(SignatureLocation::Headers);
        prop_assert!(headers.iter().any(|(name, _)| name == "authorization"));
        for (name, value) in headers {
            prop_assert_eq!(head.headers.get(&name).map(|ours| ours.to_str().unwrap()), Some(value.as_str()), "{}", name);
        }
    }

    #[test]
    fn a_query_is_signed_as_the_sdk_signs_it(case in case()) {
        let mut head = case.head();
        let separator = if case.target.contains('?') { '&' } else { '?' };
        head.uri = format!("{}{separator}X-Amz-Signature=00", case.target).parse().unwrap();
        case.ours(&mut head);
        let (_, pairs) = case.theirs(SignatureLocation::QueryParams);
        prop_assert!(pairs.iter().any(|(key, _)| key == "X-Amz-Signature"));
        let query = head.uri.query().unwrap();
        let ours = |key: &str| pairs::pairs(query).find(|pair| pair.key == key).map(|pair| pairs::decode(pair.value).into_owned());
        for (key, value) in pairs {
            prop_assert_eq!(ours(&key).map(|value| String::from_utf8(value).unwrap()), Some(value), "{}", key);
        }
    }
}
