//! What it costs to search an answer for a credential.

#![allow(missing_docs, clippy::unwrap_used, reason = "a benchmark that cannot run may stop")]

use std::fmt::Write as _;
use std::hint::black_box;
use std::sync::Arc;

use bytes::Bytes;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use http::{HeaderMap, HeaderName, HeaderValue};
use keygress::needles::Needles;
use keygress::scrub::{Window, fields};
use keygress_policy::material::Secret;

const KEY: &str = "sk_live_4eC39HqLyjWDarjtT1zdp7dc";

fn needles(values: &[&str]) -> Arc<Needles> {
    Needles::compile(&values.iter().map(|value| Secret::new(value.as_bytes().to_vec())).collect::<Vec<_>>()).unwrap()
}

/// A list as an API gives it, cut at 10 KiB.
fn json() -> Bytes {
    let mut body = String::from("{\"object\":\"list\",\"data\":[");
    for number in 0..100 {
        write!(
            body,
            "{{\"id\":\"ch_3N{number:04}LkdIwHu7ix28a3tqPa\",\"amount\":{},\"currency\":\"usd\",\"paid\":true,\"created\":{},\
             \"receipt_url\":\"https:\\/\\/pay.example.com\\/receipts\\/{number:08x}\",\"description\":\"Order \\u2116 {number} for café\"}},",
            number * 137 % 5000,
            1_700_000_000 + number
        )
        .unwrap();
    }
    body.truncate((0..=10 << 10).rev().find(|len| body.is_char_boundary(*len)).unwrap());
    body.into()
}

fn a_body(c: &mut Criterion) {
    let body = json();
    let jwt = format!("eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9.{}", "eyJzdWIiOiIxMjM0NTY3ODkwIiwibmFtZSI6IkpvaG4gRG9lIn0".repeat(16));
    let mut group = c.benchmark_group("scrub a 10 KiB JSON body");
    group.throughput(Throughput::Bytes(body.len() as u64));
    for (name, needles) in [
        ("for a token", needles(&[KEY])),
        ("for a user and a password", needles(&["correct horse battery", "QWxhZGRpbjpjb3JyZWN0IGhvcnNlIGJhdHRlcnk="])),
        ("for a JWT of 850 bytes", needles(&[&jwt])),
        ("for an old and a new token", needles(&[KEY]).and(&needles(&["sk_live_another8HqLyjWDarjtT1zdp"]))),
    ] {
        group.bench_function(name, |b| {
            let mut window = Window::new(Arc::clone(&needles));
            b.iter(|| window.pass(black_box(body.clone())));
            assert_eq!(window.masked(), 0);
        });
    }
    let (before, after) = body.split_at(5000);
    let echo = Bytes::from([before, KEY.as_bytes(), after].concat());
    group.bench_function("that holds the token", |b| {
        let mut window = Window::new(needles(&[KEY]));
        b.iter_batched(|| Bytes::copy_from_slice(&echo), |body| window.pass(body), BatchSize::SmallInput);
        assert!(window.masked() > 0);
    });
    group.finish();
}

fn a_head(c: &mut Criterion) {
    let needles = needles(&[KEY]);
    let mut headers: HeaderMap = [
        ("content-type", "application/json; charset=utf-8"),
        ("content-length", "10240"),
        ("date", "Tue, 24 Nov 2026 10:00:00 GMT"),
        ("server", "nginx"),
        ("cache-control", "no-cache, no-store"),
        ("strict-transport-security", "max-age=63072000; includeSubDomains; preload"),
        ("request-id", "req_Fk9LqKZ1hT5vXe"),
        ("x-ratelimit-remaining", "4999"),
        ("vary", "Origin, Accept-Encoding"),
        ("etag", "\"5d8c72a5edda8d6a5b8f\""),
    ]
    .into_iter()
    .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
    .collect();
    c.bench_function("scrub a head of 10 fields", |b| b.iter(|| fields(&needles, black_box(&mut headers))));
}

fn a_value(c: &mut Criterion) {
    c.bench_function("compile the forms of a token", |b| b.iter(|| needles(black_box(&[KEY]))));
}

criterion_group!(scrub, a_body, a_head, a_value);
criterion_main!(scrub);
