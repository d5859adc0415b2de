//! AWS's own vectors, read from the sources of the crate `aws-sigv4`, which carries them.
#![expect(clippy::disallowed_types, clippy::disallowed_methods, reason = "the vectors are files; what is tested reads none")]

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};
use http::{HeaderMap, Method};
use percent_encoding::percent_decode_str;
use serde_json::Value;

use super::super::super::pairs;
use super::super::*;

/// The folder with one vector a folder.
fn folder() -> PathBuf {
    let output = Command::new(env!("CARGO")).args(["metadata", "--format-version", "1", "--locked"]).output().unwrap();
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let package = packages.iter().find(|package| package["name"] == "aws-sigv4").unwrap();
    PathBuf::from(package["manifest_path"].as_str().unwrap()).with_file_name("aws-signing-test-suite").join("v4")
}

/// A request as a vector writes it.
struct Asked {
    method: Method,
    target: String,
    headers: HeaderMap,
    authority: String,
    body: String,
}

fn read(text: &str) -> Asked {
    let (head, body) = text.split_once("\n\n").unwrap_or((text.trim_end(), ""));
    let head = head.replace("\n ", " ");
    let mut lines = head.lines();
    let first = lines.next().unwrap().strip_suffix(" HTTP/1.1").unwrap();
    let (method, target) = first.split_once(' ').unwrap();
    let mut headers = HeaderMap::new();
    for (name, value) in lines.map(|line| line.split_once(':').unwrap()) {
        headers.append(name.parse::<HeaderName>().unwrap(), value.trim().parse().unwrap());
    }
    let authority = headers["host"].to_str().unwrap().to_owned();
    Asked { method: method.parse().unwrap(), target: target.to_owned(), headers, authority, body: body.to_owned() }
}

fn material(context: &Value) -> Material {
    let text = |name: &str| context["credentials"][name].as_str();
    Material::AwsKeys {
        access_key_id: text("access_key_id").unwrap().to_owned(),
        secret_access_key: Secret::new(text("secret_access_key").unwrap().into()),
        session_token: text("token").map(|token| Secret::new(token.into())),
    }
}

/// Compares one vector in both of its forms.
fn compare(name: &str, file: impl Fn(&str) -> String) {
    let context: Value = serde_json::from_str(&file("context.json")).unwrap();
    let keys = Keys::of(&material(&context)).unwrap();
    let scope = Scope { region: context["region"].as_str().unwrap(), service: context["service"].as_str().unwrap() };
    let stamp = Stamp::of(context["timestamp"].as_str().unwrap().parse().unwrap());
    let signing = Signing::new(&keys, scope, stamp);

    let Asked { method, target, headers, authority, body } = read(&file("request.txt"));
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    // The vectors write paths before they are encoded for the wire at all: encoding those once is encoding ours a second time.
    let path = percent_decode_str(path).decode_utf8().unwrap();
    let path_form = if context["normalize"] == true { PathForm::Twice } else { PathForm::Once };
    let payload_hash = hex(digest::digest(&digest::SHA256, body.as_bytes()).as_ref());
    let mut set = vec![(AMZ_DATE.clone(), signing.stamp_value().unwrap())];
    if context["sign_body"] == true {
        set.push((AMZ_CONTENT_SHA256.clone(), value(&payload_hash).unwrap()));
    }
    if let Some(token) = keys.session_token.clone().filter(|_| context["omit_session_token"] != true) {
        set.push((AMZ_SECURITY_TOKEN.clone(), token));
    }
    let mut canonical = Canonical {
        method: &method,
        path: &path,
        path_form,
        query,
        headers: &headers,
        signs: |_| true,
        authority: &authority,
        set: &set,
        payload_hash: &payload_hash,
    };
    let (text, _) = canonical.write();
    assert_eq!(String::from_utf8(text.clone()).unwrap(), file("header-canonical-request.txt"), "{name}");
    assert_eq!(signing.sign(&text), file("header-signature.txt"), "{name}");

    let presigned = read(&file("query-signed-request.txt")).target;
    let (query, signature) = presigned.split_once('?').unwrap().1.split_once("&X-Amz-Signature=").unwrap();
    // A token that is added after signing is not covered.
    let without_token = pairs::without(query, |pair| context["omit_session_token"] == true && pair.key == "X-Amz-Security-Token");
    let query = without_token.as_deref().unwrap_or(query);
    (canonical.query, canonical.set) = (query, &[]);
    let (text, _) = canonical.write();
    assert_eq!(String::from_utf8(text.clone()).unwrap(), file("query-canonical-request.txt"), "{name}");
    assert_eq!(signing.sign(&text), signature, "{name}");
}

#[test]
fn the_public_vectors_hold_in_header_and_query() {
    let mut compared = 0;
    for entry in folder().read_dir().unwrap() {
        let entry = entry.unwrap().path();
        if entry.join("context.json").is_file() {
            compare(&entry.display().to_string(), |name| fs::read_to_string(entry.join(name)).unwrap());
            compared += 1;
        }
    }
    assert!(compared >= 35, "{compared}");
}

#[test]
fn paths_that_are_encoded_already_are_encoded_again() {
    for name in ["double-encode-path", "double-url-encode"] {
        let asked = read(&fs::read_to_string(folder().join(name).join("request.txt")).unwrap());
        let canonical = Canonical {
            method: &asked.method,
            path: &asked.target,
            path_form: PathForm::Twice,
            query: "",
            headers: &asked.headers,
            signs: |_| true,
            authority: &asked.authority,
            set: &[],
            payload_hash: &hex(digest::digest(&digest::SHA256, b"").as_ref()),
        };
        let expected = fs::read_to_string(folder().join(name).join("header-canonical-request.txt")).unwrap();
        let text = String::from_utf8(canonical.write().0).unwrap();
        assert_eq!(text.lines().nth(1), expected.lines().nth(1), "{name}");
    }
}

/// Compares one vector of Signature Version 4A. These signatures are random: each side's is held against the other's key.
fn compare_asymmetric(name: &str, file: impl Fn(&str) -> String) {
    let context: Value = serde_json::from_str(&file("context.json")).unwrap();
    let keys = Keys::of(&material(&context)).unwrap();
    let public: Value = serde_json::from_str(&file("public-key.json")).unwrap();
    let expected = ["X", "Y"].map(|coordinate| public[coordinate].as_str().unwrap().to_owned()).concat();
    let derived = keys.asymmetric().unwrap();
    assert_eq!(hex(derived.public()), format!("04{expected}"), "{name}");

    let stamp = Stamp::of(context["timestamp"].as_str().unwrap().parse().unwrap());
    let Asked { method, target, headers, authority, body } = read(&file("request.txt"));
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let path = percent_decode_str(path).decode_utf8().unwrap();
    let payload_hash = hex(digest::digest(&digest::SHA256, body.as_bytes()).as_ref());
    let region = value(context["region"].as_str().unwrap()).unwrap();
    let mut set = vec![(AMZ_DATE.clone(), value(stamp.as_str()).unwrap()), (asymmetric::AMZ_REGION_SET.clone(), region)];
    if context["sign_body"] == true {
        set.push((AMZ_CONTENT_SHA256.clone(), value(&payload_hash).unwrap()));
    }
    if let Some(token) = keys.session_token.clone().filter(|_| context["omit_session_token"] != true) {
        set.push((AMZ_SECURITY_TOKEN.clone(), token));
    }
    let path_form = if context["normalize"] == true { PathForm::Twice } else { PathForm::Once };
    let (method, path, headers, authority) = (&method, &*path, &headers, &*authority);
    let canonical =
        Canonical { method, path, path_form, query, headers, signs: |_| true, authority, set: &set, payload_hash: &payload_hash };
    let (canonical, _) = canonical.write();
    assert_eq!(String::from_utf8(canonical.clone()).unwrap(), file("header-canonical-request.txt"), "{name}");
    let text = asymmetric::text(&stamp, context["service"].as_str().unwrap(), &canonical);
    assert_eq!(text, file("header-string-to-sign.txt"), "{name}");
    for signature in [derived.sign(text.as_bytes()).unwrap(), file("header-signature.txt")] {
        let bytes: Vec<u8> =
            (0..signature.trim().len()).step_by(2).map(|at| u8::from_str_radix(&signature[at..at + 2], 16).unwrap()).collect();
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, derived.public()).verify(text.as_bytes(), &bytes).unwrap();
    }
}

#[test]
fn the_public_vectors_for_several_regions_hold() {
    let mut compared = 0;
    for entry in folder().with_file_name("v4a").read_dir().unwrap() {
        let entry = entry.unwrap().path();
        if entry.join("context.json").is_file() {
            compare_asymmetric(&entry.display().to_string(), |name| fs::read_to_string(entry.join(name)).unwrap());
            compared += 1;
        }
    }
    assert!(compared >= 35, "{compared}");
}
