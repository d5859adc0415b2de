//! What it costs to sign one request with a signing key that is there already.

#![allow(missing_docs, clippy::unwrap_used, reason = "a benchmark that cannot run may stop")]

use std::hint::black_box;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use http::Request;
use http::request::Parts;
use keygress_policy::inject::{Injection, Rendered, Sending};
use keygress_policy::material::{Material, Secret};

fn signer(service: &str) -> (Injection, Rendered) {
    let injection = Injection::sigv4(service, "eu-west-1").unwrap();
    let keys = Material::AwsKeys {
        access_key_id: "ASIAEXAMPLEEXAMPLE".into(),
        secret_access_key: Secret::new(b"wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".to_vec()),
        session_token: Some(Secret::new(vec![b'T'; 800])),
    };
    let rendered = injection.render(&keys).unwrap();
    (injection, rendered)
}

fn head(uri: &str) -> Parts {
    let request = Request::get(uri)
        .header(
            "authorization",
            "AWS4-HMAC-SHA256 Credential=AKIATHEIRS/20200101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0",
        )
        .header("x-amz-date", "20200101T000000Z")
        .header("content-type", "application/x-amz-json-1.0")
        .header("x-amz-target", "DynamoDB_20120810.GetItem")
        .header("user-agent", "Boto3/1.42 md/Botocore#1.42 ua/2.1 os/linux lang/python#3.13")
        .header("accept-encoding", "identity");
    request.body(()).unwrap().into_parts().0
}

fn sign(c: &mut Criterion) {
    let item = br#"{"TableName":"things","Key":{"id":{"S":"0123456789abcdef"}}}"#;
    let cases = [
        ("s3 object", "s3", "acme.s3.eu-west-1.amazonaws.com", "/folder/object.bin?versionId=abc", &b""[..]),
        ("s3 list", "s3", "acme.s3.eu-west-1.amazonaws.com", "/?list-type=2&prefix=folder%2F&delimiter=%2F&max-keys=1000", b""),
        ("dynamodb item", "dynamodb", "dynamodb.eu-west-1.amazonaws.com", "/", item),
    ];
    let mut group = c.benchmark_group("sigv4");
    for (name, service, authority, uri, body) in cases {
        let (injection, rendered) = signer(service);
        let sending = Sending {
            now: jiff::Timestamp::UNIX_EPOCH,
            nonce: || [0; 16],
            scheme: keygress_policy::destination::Scheme::Https,
            authority,
            body: Some(body),
        };
        let asked = head(uri);
        group.bench_function(name, |b| {
            b.iter_batched_ref(
                || asked.clone(),
                |head| injection.act(black_box(head), &rendered, &sending).unwrap(),
                BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}

criterion_group!(sigv4, sign);
criterion_main!(sigv4);
