use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};

use super::*;

const CODINGS: [Coding; 4] = [Coding::Gzip, Coding::Deflate, Coding::Brotli, Coding::Zstandard];

fn coded(coding: Coding, bytes: &[u8]) -> Vec<u8> {
    match coding {
        Coding::Gzip => {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        }
        Coding::Deflate => {
            let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        }
        Coding::Brotli => {
            let mut coded = Vec::new();
            let params = brotli::enc::BrotliEncoderParams { quality: 4, ..Default::default() };
            brotli::BrotliCompress(&mut &bytes[..], &mut coded, &params).unwrap();
            coded
        }
        Coding::Zstandard => {
            let mut coded = vec![0; zstd_safe::compress_bound(bytes.len())];
            let len = zstd_safe::compress(coded.as_mut_slice(), bytes, 3).unwrap();
            coded.truncate(len);
            coded
        }
    }
}

/// What comes of a body that comes in pieces of this size.
fn inflated(coding: Coding, coded: &[u8], piece: usize) -> Result<Vec<u8>, Spoilt> {
    let mut inflate = Inflate::new(coding)?;
    let mut inflated = Vec::new();
    for piece in coded.chunks(piece) {
        inflate.feed(Bytes::copy_from_slice(piece));
        while let Some(bytes) = inflate.piece()? {
            assert!(bytes.len() <= 4 * PIECE_BYTES, "{} bytes at once", bytes.len());
            inflated.extend_from_slice(&bytes);
        }
    }
    inflate.finish().map(|()| inflated)
}

/// Bytes that do not repeat much.
fn noise(len: usize) -> Vec<u8> {
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let step = || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        Some(seed.to_be_bytes()[0])
    };
    std::iter::from_fn(step).take(len).collect()
}

#[test]
fn codings_are_taken_off_wherever_they_are_cut() {
    let text = [noise(200_000), b"text ".repeat(30_000)].concat();
    for coding in CODINGS {
        let coded = coded(coding, &text);
        for piece in [1, 2, 3, 1000, 16 << 10, 1 << 20] {
            assert!(inflated(coding, &coded, piece).as_ref() == Ok(&text), "{coding:?} in pieces of {piece}");
        }
        assert_eq!(inflated(coding, &[], 1), Ok(Vec::new()), "nothing is no coding: {coding:?}");
    }
    let mut raw = DeflateEncoder::new(Vec::new(), Compression::default());
    raw.write_all(&text).unwrap();
    let raw = raw.finish().unwrap();
    for piece in [1, 2, 3, 1000, 1 << 20] {
        assert!(inflated(Coding::Deflate, &raw, piece).as_ref() == Ok(&text), "without the frame of zlib, in pieces of {piece}");
    }
    let members = [coded(Coding::Gzip, b"one "), coded(Coding::Gzip, b"two")].concat();
    assert_eq!(inflated(Coding::Gzip, &members, 5).unwrap(), b"one two");
    let frames = [coded(Coding::Zstandard, b"one "), coded(Coding::Zstandard, b"two")].concat();
    assert_eq!(inflated(Coding::Zstandard, &frames, 5).unwrap(), b"one two");
}

#[test]
fn what_ends_too_early_or_goes_on_or_is_none_is_spoilt() {
    for coding in CODINGS {
        let whole = coded(coding, &noise(5000));
        for cut in [1, 2, 3, 10, 100, whole.len() - 1] {
            assert_eq!(inflated(coding, &whole[..cut], 7), Err(Spoilt::Malformed), "{coding:?} cut at {cut}");
        }
        let more = [whole.as_slice(), b"more than that"].concat();
        assert_eq!(inflated(coding, &more, 1 << 20), Err(Spoilt::Malformed), "{coding:?}");
        assert_eq!(inflated(coding, b"<html>not coded at all, but said to be</html>", 1 << 20), Err(Spoilt::Malformed), "{coding:?}");
    }
    let mut wrong = coded(Coding::Gzip, b"the sum of this is wrong");
    let last = wrong.len() - 8;
    wrong[last] ^= 1;
    assert_eq!(inflated(Coding::Gzip, &wrong, 1 << 20), Err(Spoilt::Malformed));
}

#[test]
fn an_answer_is_bounded_in_its_ratio_and_not_in_its_length() {
    for coding in CODINGS {
        // A thousandfold and more, though little in all.
        let zeros = coded(coding, &vec![0; 8 << 20]);
        let expected = if zeros.len() * 1000 < 8 << 20 { Err(Spoilt::TooLarge) } else { Ok(()) };
        assert_eq!(inflated(coding, &zeros, 1 << 20).map(drop), expected, "{coding:?}: {} bytes", zeros.len());
        // A small answer may be as dense as it likes.
        assert!(inflated(coding, &coded(coding, &vec![0; 60 << 10]), 1 << 20).is_ok(), "{coding:?}");
        // It may be as long as it likes: memory holds a window of it.
        let mut text = b"0123456789abcdef".repeat((20 << 20) / 16);
        text.iter_mut().step_by(100).zip(noise(1 << 20)).for_each(|(byte, noise)| *byte = noise);
        assert!(inflated(coding, &coded(coding, &text), 64 << 10).unwrap() == text, "{coding:?}");
    }
}

#[test]
fn what_was_flushed_goes_on_at_once() {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    let mut inflate = Inflate::new(Coding::Gzip).unwrap();
    for event in ["data: first\n\n", "data: second\n\n"] {
        gzip.write_all(event.as_bytes()).unwrap();
        gzip.flush().unwrap();
        inflate.feed(std::mem::take(gzip.get_mut()).into());
        assert_eq!(inflate.piece().unwrap().unwrap(), event);
        assert!(inflate.piece().unwrap().is_none());
    }
    let mut brotli = brotli::CompressorWriter::new(Vec::new(), 1 << 10, 4, 20);
    let mut inflate = Inflate::new(Coding::Brotli).unwrap();
    for event in ["data: first\n\n", "data: second\n\n"] {
        brotli.write_all(event.as_bytes()).unwrap();
        brotli.flush().unwrap();
        inflate.feed(std::mem::take(brotli.get_mut()).into());
        assert_eq!(inflate.piece().unwrap().unwrap(), event);
        assert!(inflate.piece().unwrap().is_none());
    }
    let mut zstd = zstd_safe::CCtx::create();
    let mut inflate = Inflate::new(Coding::Zstandard).unwrap();
    for event in ["data: first\n\n", "data: second\n\n"] {
        let mut coded = vec![0; 1 << 10];
        let mut output = OutBuffer::around(coded.as_mut_slice());
        zstd.compress_stream(&mut output, &mut InBuffer::around(event.as_bytes())).unwrap();
        zstd.flush_stream(&mut output).unwrap();
        let len = output.pos();
        inflate.feed(Bytes::copy_from_slice(&coded[..len]));
        assert_eq!(inflate.piece().unwrap().unwrap(), event);
        assert!(inflate.piece().unwrap().is_none());
    }
}
