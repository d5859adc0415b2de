//! The vectors of RFC 9421, appendix B.2, and what a caller may try.

use aws_lc_rs::signature::{RSA_PSS_2048_8192_SHA512, UnparsedPublicKey};

use super::super::tests::{complaint, head, injection, sending, token};
use super::*;
use crate::material::Material;

/// B.1.2, the public key of `test-key-rsa-pss`.
const RSA_PSS_PUBLIC: &str = "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAr4tmm3r20Wd/PbqvP1s2\
    +QEtvpuRaV8Yq40gjUR8y2Rjxa6dpG2GXHbPfvMs8ct+Lh1GH45x28Rw3Ry53mm+\
    oAXjyQ86OnDkZ5N8lYbggD4O3w6M6pAvLkhk95AndTrifbIFPNU8PPMO7OyrFAHq\
    gDsznjPFmTOtCEcN2Z1FpWgchwuYLPL+Wokqltd11nqqzi+bJ9cvSKADYdUAAN5W\
    Utzdpiy6LbTgSxP7ociU4Tn0g5I6aDZJ7A8Lzo0KSyZYoA485mqcO0GVAdVw9lq4\
    aOT9v6d+nb4bnNkQVklLQ3fVAvJm+xdDOp9LCNCN48V2pnDOkFV6+U9nV5oyc6XI\
    2wIDAQAB";

/// B.1.4, `test-key-ed25519`.
const ED25519: &str = "MC4CAQAwBQYDK2VwBCIEIJ+DYvh6SEqVTm50DFtMDoQikTmiCqirVv9mWG9qfSnF";

/// B.1.5, `test-shared-secret`.
const SHARED: &str = "uzvJfB4u3N0Jy4T7NZ75MDVcr8zSTInedJtkgcu46YW4XByzNJjxBdtjUkdJPBtbmHhIDi6pcl8jsasjlTMtDQ==";

/// The test request of B.2.
fn request() -> Parts {
    let mut head = head(
        "/foo?param=Value&Pet=dog",
        &[
            ("date", "Tue, 20 Apr 2021 02:07:55 GMT"),
            ("content-type", "application/json"),
            ("content-digest", "sha-512=:WZDPaVn/7XgHaAy8pmojAkGWoRx2UFChF41A2svX+TaPm+AbwAgBWnrIiYllu7BNNyealdVLvRwEmTHWXvJwew==:"),
            ("content-length", "18"),
        ],
    );
    head.method = http::Method::POST;
    head
}

fn at_that_time() -> Sending<'static> {
    Sending {
        now: jiff::Timestamp::constant(1_618_884_473, 0),
        authority: "example.com",
        body: Some(b"{\"hello\": \"world\"}"),
        ..sending()
    }
}

fn private(base64: &str) -> Material {
    Material::PrivateKey(Secret::new(STANDARD.decode(base64).unwrap()))
}

/// `Signature-Input` and `Signature` of the test request.
fn signed(yaml: &str, material: &Material) -> (String, String) {
    let injection = injection(&format!("http_signature: {{ {yaml} }}"));
    let mut head = request();
    injection.act(&mut head, &injection.render(material).unwrap(), &at_that_time()).unwrap();
    let text = |name: &str| head.headers[name].to_str().unwrap().to_owned();
    assert!(head.headers["signature"].is_sensitive());
    (text("signature-input"), text("signature"))
}

#[test]
fn b_2_5_hmac_sha256() {
    let yaml =
        "algorithm: hmac-sha256, key: base64, key_id: test-shared-secret, label: sig-b25, covers: [date, '@authority', content-type]";
    let (input, signature) = signed(yaml, &token(SHARED));
    assert_eq!(input, "sig-b25=(\"date\" \"@authority\" \"content-type\");created=1618884473;keyid=\"test-shared-secret\"");
    assert_eq!(signature, "sig-b25=:pxcQw6G3AjtMBQjwo8XzkZf/bws5LelbaMk5rGIGtE8=:");
}

#[test]
fn b_2_6_ed25519() {
    let yaml = "algorithm: ed25519, key_id: test-key-ed25519, label: sig-b26, \
        covers: [date, '@method', '@path', '@authority', content-type, content-length]";
    let (input, signature) = signed(yaml, &private(ED25519));
    let covered = "(\"date\" \"@method\" \"@path\" \"@authority\" \"content-type\" \"content-length\")";
    assert_eq!(input, format!("sig-b26={covered};created=1618884473;keyid=\"test-key-ed25519\""));
    assert_eq!(signature, "sig-b26=:wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5WPpBKRCw==:");
}

/// These signatures are made with salt: the published ones are held against the text that we would sign.
#[test]
fn b_2_2_and_b_2_3_rsa_pss_sha512() {
    for (covers, tag, published) in [
        (
            &["@authority", "content-digest", "@query-param;name=\"Pet\""][..],
            ";tag=\"header-example\"",
            "LjbtqUbfmvjj5C5kr1Ugj4PmLYvx9wVjZvD9GsTT4F7GrcQEdJzgI9qHxICagShLRiLMlAJjtq6N4CDfKtjvuJyE5qH7KT8UCMkSowOB4+ECxCmT8rtAmj/0PIXxi0A0\
             nxKyB09RNrCQibbUjsLS/2YyFYXEu4TRJQzRw1rLEuEfY17SARYhpTlaqwZVtR8NV7+4UKkjqpcAoFqWFQh62s7Cl+H2fjBSpqfZUJcsIk4N6wiKYd4je2U/lankenQ\
             99PZfB4jY3I5rSV2DSBVkSFsURIjYErOs0tFTQosMTAoxk//0RoKUqiYY8Bh0aaUEb0rQl3/XaVe4bXTugEjHSw==",
        ),
        (
            &["date", "@method", "@path", "@query", "@authority", "content-type", "content-digest", "content-length"],
            "",
            "bbN8oArOxYoyylQQUU6QYwrTuaxLwjAC9fbY2F6SVWvh0yBiMIRGOnMYwZ/5MR6fb0Kh1rIRASVxFkeGt683+qRpRRU5p2voTp768ZrCUb38K0fUxN0O0iC59DzYx8DF\
             ll5GmydPxSmme9v6ULbMFkl+V5B1TP/yPViV7KsLNmvKiLJH1pFkh/aYA2HXXZzNBXmIkoQoLd7YfW91kE9o/CCoC1xMy7JA1ipwvKvfrs65ldmlu9bpG6A9BmzhuzF\
             8Eim5f8ui9eH8LZH896+QIF61ka39VBrohr9iyMUJpvRX2Zbhl5ZJzSRxpJyoEZAFL2FUo5fTIztsDZKEgM4cUA==",
        ),
    ] {
        let components: Vec<Component> = covers.iter().map(|text| Component::parse(text).unwrap()).collect();
        let (head, sending) = (request(), at_that_time());
        let lines = components.iter().map(|one| format!("{}: {}\n", one.shown(), one.value(&head, &sending, &[]).unwrap().unwrap()));
        let mut text: String = lines.collect();
        let covered: Vec<&str> = components.iter().map(Component::shown).collect();
        text.push_str(&format!("\"@signature-params\": ({});created=1618884473;keyid=\"test-key-rsa-pss\"{tag}", covered.join(" ")));
        let key = STANDARD.decode(RSA_PSS_PUBLIC).unwrap();
        let signature = STANDARD.decode(published).unwrap();
        UnparsedPublicKey::new(&RSA_PSS_2048_8192_SHA512, &key).verify(text.as_bytes(), &signature).unwrap();
    }
}

#[test]
fn the_digest_of_the_body_is_ours() {
    for (digest, expected) in [
        ("sha-256", "sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:"),
        ("sha-512", "sha-512=:WZDPaVn/7XgHaAy8pmojAkGWoRx2UFChF41A2svX+TaPm+AbwAgBWnrIiYllu7BNNyealdVLvRwEmTHWXvJwew==:"),
    ] {
        let injection = injection(&format!("http_signature: {{ algorithm: ed25519, key_id: k, digest: {digest} }}"));
        let mut head = request();
        head.headers.insert("content-digest", "sha-256=:AAAA:".parse().unwrap());
        head.headers.append("content_digest", "sha-256=:BBBB:".parse().unwrap());
        assert_eq!(injection.body_bytes_max(&head, "example.com"), Some(1 << 20));
        injection.act(&mut head, &injection.render(&private(ED25519)).unwrap(), &at_that_time()).unwrap();
        assert_eq!(head.headers.get_all("content-digest").iter().collect::<Vec<_>>(), [expected]);
        assert!(!head.headers.contains_key("content_digest"));
    }
}

#[test]
fn time_nonce_and_tag_stand_in_the_parameters() {
    let yaml = "algorithm: ed25519, key_id: k, covers: ['@method'], expires_in: 1m, nonce: true, tag: web-bot-auth";
    let (input, _) = signed(yaml, &private(ED25519));
    let nonce = "07".repeat(16);
    assert_eq!(
        input,
        format!("sig=(\"@method\");created=1618884473;expires=1618884533;keyid=\"k\";nonce=\"{nonce}\";tag=\"web-bot-auth\"")
    );
}

#[test]
fn what_must_be_covered_must_be_there_once() {
    let acted = |covers: &str, uri: &str, headers: &[(&str, &str)]| {
        let injection = injection(&format!("http_signature: {{ algorithm: ed25519, key_id: k, covers: [{covers}] }}"));
        let mut head = head(uri, headers);
        injection.act(&mut head, &injection.render(&private(ED25519)).unwrap(), &at_that_time())?;
        Ok::<_, String>(head.headers["signature-input"].to_str().unwrap().to_owned())
    };
    assert!(acted("x-id", "/", &[]).unwrap_err().contains("no `x-id`"));
    assert!(acted("x-id", "/", &[("x-id", "1"), ("x_id", "2")]).unwrap_err().contains("two spellings"));
    assert!(acted("'x-id?'", "/", &[]).unwrap().starts_with("sig=();"));
    assert!(acted("'x-id?'", "/", &[("x-id", "1")]).unwrap().starts_with("sig=(\"x-id\");"));
    let pet = "'@query-param;name=\"Pet\"'";
    assert!(acted(pet, "/?Pet=1", &[]).is_ok() && acted(pet, "/?pet=1", &[]).is_err() && acted(pet, "/?Pet=1&P%65t=2", &[]).is_err());
}

#[test]
fn derived_components_are_those_of_what_is_sent() {
    let (head, sending) = (head("/a%20b?x=1+2", &[]), Sending { authority: "Api.Example.com:8443", ..at_that_time() });
    for (text, value) in [
        ("@target-uri", "https://api.example.com:8443/a%20b?x=1+2"),
        ("@authority", "api.example.com:8443"),
        ("@scheme", "https"),
        ("@request-target", "/a%20b?x=1+2"),
        ("@path", "/a%20b"),
        ("@query", "?x=1+2"),
        ("@query-param;name=\"x\"", "1%202"),
        ("@method", "GET"),
    ] {
        assert_eq!(Component::parse(text).unwrap().value(&head, &sending, &[]).unwrap().as_deref(), Some(value), "{text}");
    }
}

#[test]
fn what_the_application_signed_goes_and_its_key_id_may_have_to_be_the_placeholder() {
    let injection = injection("http_signature: { algorithm: ed25519, key_id: k, covers: ['@method'], existing: require_placeholder }");
    let placeholder = Secret::new(b"ph".to_vec());
    let own = |input: &str| head("/", &[("signature-input", input), ("signature", "a=:AA==:"), ("Signature_Input", "x")]);
    let one = |input: &str| head("/", &[("signature-input", input), ("signature", "a=:AA==:")]);
    assert!(injection.admit(&one("a=();created=1;keyid=\"ph\""), Some(&placeholder)).is_ok());
    for refused in ["a=();keyid=\"other\"", "a=()", "a=();keyid=\"ph\", b=();keyid=\"ph\""] {
        assert!(injection.admit(&one(refused), Some(&placeholder)).is_err(), "{refused}");
    }
    assert!(injection.admit(&own("a=();keyid=\"ph\""), Some(&placeholder)).is_err());
    let mut changed = own("a=();keyid=\"ph\"");
    injection.act(&mut changed, &injection.render(&private(ED25519)).unwrap(), &at_that_time()).unwrap();
    assert_eq!(changed.headers.len(), 2);
    assert!(changed.headers["signature"].to_str().unwrap().starts_with("sig=:"));
}

#[test]
fn a_key_must_fit_its_algorithm_and_never_shows() {
    for algorithm in ["ecdsa-p256-sha256", "rsa-pss-sha512", "rsa-v1_5-sha256"] {
        let injection = injection(&format!("http_signature: {{ algorithm: {algorithm}, key_id: k }}"));
        assert!(injection.render(&private(ED25519)).unwrap_err().contains("does not fit"));
    }
    let rendered = injection("http_signature: { algorithm: ed25519, key_id: k }").render(&private(ED25519)).unwrap();
    assert!(format!("{rendered:?}").contains("SigningKey(…)") && rendered.needles()[0].is(&STANDARD.decode(ED25519).unwrap()));
}

#[test]
fn shapes_that_cannot_be_meant_are_refused() {
    for (keys, word) in [
        ("covers: []", "lists nothing"),
        ("covers: ['@method', '@method']", "twice"),
        ("covers: ['@status']", "`@status`"),
        ("covers: [Date]", "`Date`"),
        ("covers: [host]", "`host`"),
        ("covers: [signature]", "`signature`"),
        ("covers: ['content-digest;req']", "nothing that can be signed"),
        ("label: Sig", "no label"),
        ("tag: 'a\"b'", "cannot stand in a signature"),
        ("expires_in: '5'", "not a time"),
        ("expires_in: 0s", "not a time"),
    ] {
        let complaint = complaint(&format!("http_signature: {{ algorithm: ed25519, key_id: k, {keys} }}"));
        assert!(complaint.0.contains(word), "{keys}: {}", complaint.0);
    }
}
