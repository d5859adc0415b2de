use std::collections::BTreeMap;

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rsa;
use aws_lc_rs::signature::KeyPair as _;
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519, PublicKeyData};

use super::*;

const OF: Of<'static> = Of { method: "POST", origin: "https://api.example.com", path: "/v1/charges?a=1" };
const BROKER: &str = "broker.example.com";

fn channel(name: &str) -> Channel {
    Channel(name.into())
}

fn behalf() -> Behalf {
    let labels = BTreeMap::from([("kind".to_owned(), "ci".to_owned())]);
    Behalf { workloads: vec!["billing".into(), "job".into()], task: Some(Task { id: "t-1".into(), labels }) }
}

fn key() -> (Signer, Verifier) {
    let pair = KeyPair::generate().unwrap();
    let public = pair.subject_public_key_info();
    (Signer::new(pair.serialize_pem().as_bytes(), &public).unwrap(), Verifier::new(&public).unwrap())
}

fn verify(verifier: &Verifier, statement: &str, channel: &Channel, of: Of<'_>) -> Result<(Behalf, u64), &'static str> {
    verifier.verify(statement, channel, of, |broker| broker == BROKER)
}

#[test]
fn what_is_said_is_believed_whatever_kind_of_key_signs() {
    let mut keys: Vec<(String, Vec<u8>)> = [&PKCS_ECDSA_P256_SHA256, &PKCS_ECDSA_P384_SHA384, &PKCS_ED25519]
        .map(|kind| KeyPair::generate_for(kind).unwrap())
        .map(|pair| (pair.serialize_pem(), pair.subject_public_key_info()))
        .into();
    let rsa = rsa::KeyPair::generate(rsa::KeySize::Rsa2048).unwrap();
    let pem = pem::encode(&pem::Pem::new("PRIVATE KEY", rsa.as_der().unwrap().as_ref()));
    keys.push((pem, rsa.public_key().as_der().unwrap().as_ref().to_vec()));
    for (pem, public) in keys {
        let channel = channel("c1");
        let signer = Signer::new(pem.as_bytes(), &public).unwrap();
        let statement = signer.sign(BROKER, &channel.trace(7), OF, &behalf()).unwrap();
        assert_eq!(verify(&Verifier::new(&public).unwrap(), &statement, &channel, OF), Ok((behalf(), 7)));
    }
}

#[test]
fn it_holds_for_one_request_one_broker_and_one_connection() {
    let (signer, verifier) = key();
    let own = channel("c1");
    let statement = signer.sign(BROKER, &own.trace(1), OF, &behalf()).unwrap();
    for other in [Of { method: "GET", ..OF }, Of { origin: "https://other.example.com", ..OF }, Of { path: "/v1/charges?a=2", ..OF }] {
        assert_eq!(verify(&verifier, &statement, &own, other), Err("the statement is of another request"), "{other:?}");
    }
    for other in ["c2", "c", "c1-1", ""] {
        assert_eq!(verify(&verifier, &statement, &channel(other), OF), Err("the statement is of another connection"), "{other}");
    }
    assert_eq!(verifier.verify(&statement, &own, OF, |_| false), Err("the statement is for another broker"));
    let (_, stranger) = key();
    let unsigned = "the statement is not signed with the key of the client certificate";
    assert_eq!(verify(&stranger, &statement, &own, OF), Err(unsigned));
}

/// A statement with other claims than we would sign.
fn claiming(signer: &Signer, typ: &str, change: impl FnOnce(&mut serde_json::Value)) -> String {
    let now = seconds(SystemTime::now());
    let mut claims = serde_json::json!({
        "aud": BROKER, "iat": now, "exp": now + 60, "jti": "c1-1", "htm": OF.method, "htu": OF.origin,
        "path_sha256": hash(OF.path), "workloads": ["billing"],
    });
    change(&mut claims);
    let header = Header { typ: Some(typ.to_owned()), ..Header::new(signer.algorithm) };
    encode(&header, &claims, &signer.key).unwrap()
}

#[test]
fn what_is_old_early_or_strange_is_refused() {
    let (signer, verifier) = key();
    let own = channel("c1");
    let now = seconds(SystemTime::now());
    let outcome = |statement: &str| verify(&verifier, statement, &own, OF).map(|(behalf, _)| behalf.workloads.len());
    assert_eq!(outcome(&claiming(&signer, TYPE, |_| {})), Ok(1));
    assert_eq!(outcome(&claiming(&signer, "JWT", |_| {})), Err("it is a JWT, and no statement"));
    let expired = claiming(&signer, TYPE, |claims| claims["exp"] = (now - 90).into());
    assert_eq!(outcome(&expired), Err("the statement has expired"));
    let future = "the statement comes from the future: look at the clocks of both sides";
    assert_eq!(outcome(&claiming(&signer, TYPE, |claims| claims["iat"] = (now + 600).into())), Err(future));
    assert_eq!(outcome(&claiming(&signer, TYPE, |claims| claims["exp"] = (now + 600).into())), Err(future));
    assert_eq!(outcome(&claiming(&signer, TYPE, |claims| claims["admin"] = true.into())), Err("the statement cannot be read"));
    let name = "the statement names what cannot be a name";
    assert_eq!(outcome(&claiming(&signer, TYPE, |claims| claims["workloads"] = serde_json::json!(["a\nb"]))), Err(name));
    let task = serde_json::json!({ "id": "x".repeat(300), "labels": {} });
    assert_eq!(outcome(&claiming(&signer, TYPE, |claims| claims["task"] = task)), Err(name));
    assert_eq!(outcome(&"x".repeat(BYTES_MAX + 1)), Err("the statement is too long"));
    for garbage in ["", "a.b.c", "🎉"] {
        assert!(outcome(garbage).is_err());
    }
}

#[test]
fn a_number_is_taken_once_and_overtaking_is_no_replay() {
    let mut window = Window::default();
    assert!(!window.take(0));
    for number in [1, 3, 2, 10, 4] {
        assert!(window.take(number), "{number}");
        assert!(!window.take(number), "{number}");
    }
    assert!(window.take(Window::WIDTH + 5));
    assert!(!window.take(5), "too far behind");
    assert!(window.take(6));
    assert!(window.take(u64::MAX));
    assert!(!window.take(u64::MAX) && !window.take(7));
    assert!(window.take(u64::MAX - Window::WIDTH + 1));
    assert!(!window.take(u64::MAX - Window::WIDTH));
}
