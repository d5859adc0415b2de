//! Bodies in chunks. The signatures expected are those of the examples in the documentation of Amazon S3.

use proptest::prelude::*;

use super::super::chunks::{Chunks, Streaming};
use super::*;

/// The keys, time and scope of the documentation's examples.
fn chunks(payload_hash: &str, seed: &str) -> Chunks {
    let material = Material::AwsKeys {
        access_key_id: "AKIAIOSFODNN7EXAMPLE".into(),
        secret_access_key: Secret::new(b"wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".to_vec()),
        session_token: None,
    };
    let keys = Keys::of(&material).unwrap();
    let signing = Signing::new(&keys, Scope { region: "us-east-1", service: "s3" }, Stamp::of("2013-05-24T00:00:00Z".parse().unwrap()));
    Chunks::new(Streaming::parse(payload_hash).unwrap(), &signing, seed.to_owned())
}

fn through(chunks: &mut Chunks, pieces: &[&[u8]]) -> Result<String, &'static str> {
    let mut out = Vec::new();
    for piece in pieces {
        chunks.feed(piece, &mut out)?;
    }
    Ok(String::from_utf8(out).unwrap())
}

fn theirs() -> String {
    "0".repeat(64)
}

/// A chunk of so many `a`.
fn chunk(size: usize, signature: &str) -> String {
    let end = if size > 0 { "\r\n" } else { "" };
    format!("{size:x};chunk-signature={signature}\r\n{}{end}", "a".repeat(size))
}

#[test]
fn chunks_are_signed_as_in_the_documentation() {
    let seed = "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9";
    let signatures = [
        "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648",
        "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497",
        "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9",
    ];
    let body = |signature: &dyn Fn(usize) -> String| {
        [65_536, 1024, 0].iter().enumerate().map(|(at, size)| chunk(*size, &signature(at))).collect::<String>() + "\r\n"
    };
    let mut chunks = chunks("STREAMING-AWS4-HMAC-SHA256-PAYLOAD", seed);
    let sent = body(&|_| theirs());
    let out = through(&mut chunks, &[sent.as_bytes()]).unwrap();
    assert!(out == body(&|at| signatures[at].to_owned()), "{out}");
    assert!(chunks.is_done());
}

#[test]
fn a_trailer_is_signed_as_in_the_documentation() {
    let seed = "106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e";
    let signatures = [
        "b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2",
        "1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7",
        "2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992",
    ];
    let trailer_signature = "d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435";
    let body = |signature: &dyn Fn(usize) -> String, trailer: &str| {
        let chunks = [65_536, 1024, 0].iter().enumerate().map(|(at, size)| chunk(*size, &signature(at))).collect::<String>();
        format!("{chunks}x-amz-checksum-crc32c:sOO8/Q==\r\nx-amz-trailer-signature:{trailer}\r\n\r\n")
    };
    let mut chunks = chunks("STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER", seed);
    let sent = body(&|_| theirs(), &theirs());
    let out = through(&mut chunks, &[sent.as_bytes()]).unwrap();
    assert!(out == body(&|at| signatures[at].to_owned(), trailer_signature), "{out}");
    assert!(chunks.is_done());
}

#[test]
fn unsigned_chunks_pass_as_they_are() {
    let sent = "5\r\nhello\r\n6\r\n world\r\n0\r\nx-amz-checksum-crc32:DUoRhQ==\r\n\r\n";
    let mut chunks = chunks("STREAMING-UNSIGNED-PAYLOAD-TRAILER", &theirs());
    assert_eq!(through(&mut chunks, &[sent.as_bytes()]).unwrap(), sent);
    assert!(chunks.is_done());
}

#[test]
fn what_is_no_chunk_never_passes() {
    let (signed, with_trailer, unsigned) =
        ("STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER", "STREAMING-UNSIGNED-PAYLOAD-TRAILER");
    let zero = format!("0;chunk-signature={}\r\n", theirs());
    for (mode, body) in [
        (signed, "5\r\nhello\r\n".to_owned()),
        (signed, "5;chunk-signature=short\r\nhello\r\n".to_owned()),
        (signed, format!("5;chunk-signature={}\nhello\r\n", theirs())),
        (signed, format!("5;chunk-signature={}\r\nhello!\r\n", theirs())),
        (signed, format!(";chunk-signature={}\r\n", theirs())),
        (signed, format!("-5;chunk-signature={}\r\n", theirs())),
        (signed, format!("fffffff;chunk-signature={}\r\n", theirs())),
        (signed, format!("ffffffffffffffffff;chunk-signature={}\r\n", theirs())),
        (signed, format!("{zero}x-amz-checksum-crc32:DUoRhQ==\r\n")),
        (signed, format!("{zero}\r\nmore")),
        (with_trailer, format!("{zero}\r\n")),
        (with_trailer, format!("{zero}authorization:theirs\r\n")),
        (with_trailer, format!("{zero}x-amz-trailer-signature:{}\r\nx-amz-checksum-crc32:DUoRhQ==\r\n", theirs())),
        (unsigned, format!("5;chunk-signature={}\r\nhello\r\n", theirs())),
        (unsigned, format!("0\r\nx-amz-trailer-signature:{}\r\n", theirs())),
        (unsigned, "0\r\nx-amz-meta-a: b\r\n".to_owned()),
        (unsigned, format!("{}\r\n", "1".repeat(2000))),
    ] {
        let mut chunks = chunks(mode, &theirs());
        assert!(through(&mut chunks, &[body.as_bytes()]).is_err(), "{body}");
        assert!(!chunks.is_done() || body.ends_with("more"));
    }
}

#[test]
fn the_head_of_a_stream_is_signed_and_seeds_the_chunks() {
    let mut head = head("/key", &[("x-amz-content-sha256", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"), ("x-amz-decoded-content-length", "5")]);
    let Payload::Resigned(chunks) = signed(S3, &mut head, None).unwrap() else { panic!("the body goes as it came") };
    assert!(authorization(&head).contains("x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;"));
    assert!(authorization(&head).ends_with(&format!("Signature={}", chunks.seed())));
    assert_eq!(head.headers["x-amz-content-sha256"], "STREAMING-AWS4-HMAC-SHA256-PAYLOAD");
    // Only S3 takes bodies in chunks.
    let mut other = crate::inject::tests::head("/", &[("x-amz-content-sha256", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD")]);
    assert!(signed(SQS, &mut other, None).is_err());
}

proptest! {
    /// However the bytes are cut, the same comes out, as long as what went in, and without the application's signatures.
    #[test]
    fn where_the_bytes_are_cut_does_not_matter(sizes in prop::collection::vec(1..3000_usize, 0..5), cuts in prop::collection::vec(1..700_usize, 1..60)) {
        let sent = sizes.iter().map(|size| chunk(*size, &theirs())).collect::<String>() + &chunk(0, &theirs()) + "\r\n";
        let mut whole = chunks("STREAMING-AWS4-HMAC-SHA256-PAYLOAD", &theirs());
        let expected = through(&mut whole, &[sent.as_bytes()]).unwrap();
        prop_assert_eq!(expected.len(), sent.len());
        prop_assert!(!expected.contains(&theirs()));
        let mut pieces = Vec::new();
        let mut rest = sent.as_bytes();
        for cut in cuts {
            let (piece, after) = rest.split_at(cut.min(rest.len()));
            pieces.push(piece);
            rest = after;
        }
        pieces.push(rest);
        let mut cut = chunks("STREAMING-AWS4-HMAC-SHA256-PAYLOAD", &theirs());
        prop_assert_eq!(through(&mut cut, &pieces).unwrap(), expected);
        prop_assert!(cut.is_done());
    }
}
