use http::request::Parts;
use proptest::prelude::*;

use super::*;
use crate::destination::Scheme;

/// A request head.
pub(super) fn head(uri: &str, headers: &[(&str, &str)]) -> Parts {
    let mut request = http::Request::builder().uri(uri);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap().into_parts().0
}

/// An injection from what stands behind `inject:`.
pub(super) fn injection(yaml: &str) -> Injection {
    Injection::compile(&serde_saphyr::from_str(yaml).unwrap()).unwrap()
}

/// What is wrong with it.
pub(super) fn complaint(yaml: &str) -> Complaint {
    Injection::compile(&serde_saphyr::from_str(yaml).unwrap()).unwrap_err()
}

/// A request to `h.test` without a body, at 2026-01-01T00:00:00Z.
pub(super) fn sending() -> Sending<'static> {
    Sending {
        now: jiff::Timestamp::constant(1_767_225_600, 0),
        nonce: || [7; 16],
        scheme: Scheme::Https,
        authority: "h.test",
        body: Some(b""),
    }
}

pub(super) fn token(text: &str) -> Material {
    Material::Token(Secret::new(text.into()))
}

pub(super) fn user_password(user: &str, password: &str) -> Material {
    Material::UserPassword { user: user.into(), password: Secret::new(password.into()) }
}

pub(super) fn aws_keys(session_token: Option<&str>) -> Material {
    Material::AwsKeys {
        access_key_id: "AKIDEXAMPLE".into(),
        secret_access_key: Secret::new(b"wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".to_vec()),
        session_token: session_token.map(|token| Secret::new(token.into())),
    }
}

const SHAPES: [&str; 6] = [
    "bearer",
    "basic",
    "header: { name: x-api-key, value: 'k {token}' }",
    "header: { name: authorization, value: '{user} {password}' }",
    "headers: { set: { x-id: '{user}', x-api-key: '{password}', authorization: fixed } }",
    "query: { key: api_key }",
];

/// Some of what callers bring themselves.
const CREDENTIALS: [&str; 6] =
    ["authorization", "cookie", "x-api-key", "x-amz-security-token", "private-token", "ocp-apim-subscription-key"];

fn material(injection: &Injection) -> Material {
    match injection.takes() {
        MaterialKind::Token => token("T0"),
        MaterialKind::UserPassword => user_password("U0", "P0"),
        MaterialKind::AwsKeys => aws_keys(None),
        MaterialKind::Certificate | MaterialKind::PrivateKey | MaterialKind::BoundToken => unreachable!("none of these takes it"),
    }
}

#[test]
fn what_is_rendered_for_another_injection_is_refused_and_nothing_changes() {
    for (at, shape) in SHAPES.iter().enumerate() {
        let ours = injection(shape);
        for other in SHAPES.iter().enumerate().filter(|(other, _)| *other != at).map(|(_, other)| injection(other)) {
            let rendered = other.render(&material(&other)).unwrap();
            let mut changed = head("/?a=1", &[("x", "y")]);
            if ours.act(&mut changed, &rendered, &sending()).is_err() {
                assert_eq!((changed.uri.to_string().as_str(), changed.headers.len()), ("/?a=1", 1));
            } else {
                assert!(changed.headers.contains_key("authorization"), "both set `authorization` alone");
            }
        }
    }
}

#[test]
fn nothing_prints_the_material() {
    for shape in SHAPES {
        let injection = injection(shape);
        let rendered = injection.render(&material(&injection)).unwrap();
        let mut head = head("/", &[]);
        if injection.kind() != "query" {
            injection.act(&mut head, &rendered, &sending()).unwrap();
        }
        let printed = format!("{rendered:?} {:?}", head.headers);
        assert!(!printed.contains("T0") && !printed.contains("P0"), "{printed}");
    }
}

/// The names that a caller would try, and others.
fn header_names() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("authorization".to_owned()),
        Just("Authorization".to_owned()),
        Just("x-api-key".to_owned()),
        Just("X_Api-Key".to_owned()),
        Just("x-id".to_owned()),
        Just("X_ID".to_owned()),
        "[a-zA-Z][a-zA-Z_-]{0,8}",
    ]
}

/// A key of a query, with any of its characters percent-encoded in either case.
fn query_keys() -> impl Strategy<Value = String> {
    let spelling = prop::collection::vec(0..4_u8, 7).prop_map(|how| {
        "api_key"
            .chars()
            .zip(how)
            .map(|(letter, how)| match how {
                0 => letter.to_string(),
                1 => format!("%{:02x}", letter as u32),
                2 => format!("%{:02X}", letter as u32),
                _ => letter.to_ascii_uppercase().to_string(),
            })
            .collect::<String>()
    });
    prop_oneof![3 => spelling, 1 => "[a-z%5]{0,6}".prop_map(|text| text.replace('%', "%25"))]
}

proptest! {
    /// I6: nothing that the caller sent in the slot survives, and everything else does.
    #[test]
    fn what_the_caller_sent_in_the_slot_never_survives(
        shape in 0..SHAPES.len(),
        sent in prop::collection::vec((header_names(), "[!-~]{1,12}"), 0..12),
        query in prop::collection::vec((query_keys(), "[a-zA-Z0-9%/?:@!$'()*+,=]{0,6}".prop_map(|text| text.replace('%', "%25")), prop_oneof![Just('&'), Just(';')]), 0..8),
    ) {
        let injection = injection(SHAPES[shape]);
        let rendered = injection.render(&material(&injection)).unwrap();
        let text = query.iter().map(|(key, value, end)| format!("{key}={value}{end}")).collect::<String>();
        let mut head = head(&format!("/path?{text}"), &[]);
        for (name, value) in &sent {
            head.headers.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap());
        }
        let before = head.clone();
        injection.act(&mut head, &rendered, &sending()).unwrap();

        let slots: Vec<_> = head.headers.iter().filter(|(name, _)| injection.owns_header(name)).collect();
        prop_assert_eq!(slots.len(), rendered.headers.len());
        for (name, value) in &rendered.headers {
            prop_assert_eq!(head.headers.get_all(name).iter().collect::<Vec<_>>(), vec![value]);
        }
        let others = |parts: &Parts| {
            let mut all: Vec<_> = parts.headers.iter().filter(|(name, _)| !injection.owns_header(name)).map(|(name, value)| (name.to_string(), value.clone())).collect();
            all.sort();
            all
        };
        prop_assert_eq!(others(&head), others(&before));
        if let Some((key, _)) = &rendered.query {
            let ours: Vec<_> = pairs::pairs(head.uri.query().unwrap()).filter(|pair| pairs::is_spelling_of(pair.key, key)).map(|pair| pair.value).collect();
            prop_assert_eq!(ours, vec!["T0"]);
        } else {
            prop_assert_eq!(&head.uri, &before.uri);
        }
        prop_assert_eq!(head.uri.path(), "/path");
    }

    /// Whatever is stripped, in whatever spelling, nothing that a service reads as a credential stays, and nothing else goes.
    #[test]
    fn nothing_stripped_survives_in_another_spelling(
        shape in 0..SHAPES.len(),
        sent in prop::collection::vec((0..CREDENTIALS.len(), prop::bool::ANY, "[!-~]{1,8}"), 0..8),
        others in prop::collection::vec("x-[a-f]{3,6}", 0..6),
    ) {
        let injection = injection(SHAPES[shape]);
        let mut head = head("/?q=authorization&access_token=1&page=2", &[]);
        for (which, underscored, value) in &sent {
            let name = if *underscored { CREDENTIALS[*which].replace('-', "_") } else { CREDENTIALS[*which].to_owned() };
            head.headers.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap());
        }
        for name in &others {
            head.headers.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), "kept".parse().unwrap());
        }
        strip(&mut head, &[], Some(&injection));
        prop_assert_eq!(head.uri.query(), Some("q=authorization&page=2"));
        prop_assert_eq!(head.headers.values().filter(|value| *value == "kept").count(), others.len());
        prop_assert!(head.headers.iter().all(|(name, value)| value == "kept" || injection.owns_header(name)));
    }
}
