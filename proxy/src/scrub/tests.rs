//! Laws of the stream: whatever the secret, the body and the places where it is cut.

use std::collections::BTreeSet;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use bytes::Bytes;
use keygress_policy::material::Secret;
use percent_encoding::{NON_ALPHANUMERIC, percent_encode};
use proptest::prelude::*;

use super::*;

/// Every form of a secret, made with the encoders that upstreams use.
fn forms(secret: &str) -> Vec<Vec<u8>> {
    let bytes = secret.as_bytes();
    let each = |digits: fn(&u8) -> String| bytes.iter().map(digits).collect::<String>().into_bytes();
    let json = serde_json::to_string(secret).unwrap();
    let mut forms = vec![
        bytes.to_vec(),
        each(|byte| format!("{byte:02x}")),
        each(|byte| format!("{byte:02X}")),
        each(|byte| format!("%{byte:02x}")),
        each(|byte| if byte.is_ascii_alphanumeric() { char::from(*byte).into() } else { format!("%{byte:02x}") }),
        percent_encode(bytes, NON_ALPHANUMERIC).to_string().into_bytes(),
        json[1..json.len() - 1].replace('/', "\\/").into_bytes(),
        secret.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect::<String>().into_bytes(),
    ];
    forms.extend(base64(bytes).map(String::into_bytes));
    forms
}

/// The digits that are the secret's alone, for each place that it can have in what is encoded.
fn base64(bytes: &[u8]) -> impl Iterator<Item = String> {
    (0..3).flat_map(move |before| {
        let plain = [&[0; 2][..before], bytes].concat();
        let (from, to) = ((before * 8).div_ceil(6), (before + bytes.len()) * 8 / 6);
        [STANDARD.encode(&plain)[from..to].to_owned(), URL_SAFE.encode(&plain)[from..to].to_owned()]
    })
}

/// Which bytes belong to an occurrence of one of these forms.
fn covered(body: &[u8], forms: &[Vec<u8>]) -> Vec<bool> {
    let mut covered = vec![false; body.len()];
    for form in forms {
        for (start, _) in body.windows(form.len()).enumerate().filter(|(_, window)| window == form) {
            covered[start..start + form.len()].fill(true);
        }
    }
    covered
}

/// Which bytes belong to a form whose characters are each spelled in whatever way.
fn covered_loosely(body: &[u8], secret: &str) -> Vec<bool> {
    let hex: String = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
    let digits = [secret.to_owned(), hex].into_iter().chain(base64(secret.as_bytes()));
    let mut covered = vec![false; body.len()];
    for characters in digits {
        for start in 0..body.len() {
            let ends = characters.chars().fold(BTreeSet::from([start]), |ends, character| {
                let spellings = spellings(character, characters != secret);
                let next = |end: usize| spellings.iter().filter(move |one| has(&body[end..], one)).map(move |one| end + one.len());
                ends.into_iter().flat_map(next).collect()
            });
            if let Some(end) = ends.last() {
                covered[start..*end].fill(true);
            }
        }
    }
    covered
}

/// Whether bytes begin with a spelling; the digits of an escape in either case.
fn has(bytes: &[u8], spelling: &[u8]) -> bool {
    bytes.len() >= spelling.len()
        && if spelling.len() > 2 { bytes[..spelling.len()].eq_ignore_ascii_case(spelling) } else { bytes.starts_with(spelling) }
}

fn spellings(character: char, is_digit: bool) -> Vec<Vec<u8>> {
    let one = |character: char| {
        let mut units = [0; 2];
        let unicode = character.encode_utf16(&mut units).iter().map(|unit| format!("\\u{unit:04x}")).collect();
        let percent = character.to_string().bytes().map(|byte| format!("%{byte:02x}")).collect();
        [character.to_string(), format!("\\{character}"), unicode, percent]
    };
    let others: &[char] = match character {
        '+' if is_digit => &['-'],
        '/' if is_digit => &['_'],
        ' ' => &['+'],
        _ => &[],
    };
    let upper = character.to_ascii_uppercase();
    let cased = (is_digit && character.is_ascii_hexdigit()).then_some(upper);
    [character].iter().chain(others).copied().chain(cased).flat_map(one).map(String::into_bytes).collect()
}

/// What a stream gives of a body that comes in these pieces.
fn streamed(needles: &Arc<Needles>, body: &[u8], cuts: &[usize]) -> Vec<u8> {
    let mut window = Window::new(Arc::clone(needles));
    let mut given = Vec::new();
    let mut from = 0;
    for cut in cuts.iter().map(|cut| cut % (body.len() + 1)).chain([body.len()]).collect::<BTreeSet<_>>() {
        given.extend_from_slice(&window.pass(Bytes::copy_from_slice(&body[from..cut])));
        assert_eq!(given.len() + window.held_bytes(), cut, "lengths stay");
        from = cut;
    }
    given.extend_from_slice(&window.finish());
    given
}

fn compile(secret: &str) -> Arc<Needles> {
    Needles::compile(&[Secret::new(secret.as_bytes().to_vec())]).unwrap()
}

/// What is a form is masked; nothing is masked that is none, and everything else is as it came.
fn check(secret: &str, body: &[u8], cuts: &[&[usize]]) {
    let (must, may) = (covered(body, &forms(secret)), covered_loosely(body, secret));
    let needles = compile(secret);
    for cuts in cuts {
        let given = streamed(&needles, body, cuts);
        let told =
            || format!("{secret:?} in {:?} cut at {cuts:?} gave {:?}", String::from_utf8_lossy(body), String::from_utf8_lossy(&given));
        for (index, (came, went)) in body.iter().zip(&given).enumerate() {
            assert!(if must[index] { *went == b'*' } else { went == came || may[index] && *went == b'*' }, "byte {index}: {}", told());
        }
    }
}

/// Text around the secret, a form of it, or a piece of a form.
fn body(secret: &str, pieces: &[(u8, usize, String)]) -> Vec<u8> {
    let forms = forms(secret);
    let piece = |(kind, number, text): &(u8, usize, String)| {
        let form = &forms[number % forms.len()];
        match kind % 4 {
            0 => text.clone().into_bytes(),
            1 => form.clone(),
            2 => form[..number % form.len()].to_vec(),
            _ => form[number % form.len()..].to_vec(),
        }
    };
    pieces.iter().flat_map(piece).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn no_form_passes_and_nothing_else_changes(
        secret in "[a-zA-Z0-9_.-]{8,40}|[a-c/+=&<\"' é]{8,16}|(ab){4,9}",
        pieces in prop::collection::vec((any::<u8>(), any::<usize>(), "[ -~]{0,12}"), 0..8),
        cuts in prop::collection::vec(any::<usize>(), 0..10),
    ) {
        check(&secret, &body(&secret, &pieces), &[&cuts]);
    }
}

/// Many more bodies, small and dense, from a seed: each cut at every place, and byte by byte.
#[test]
fn a_seeded_run_over_the_stream() {
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = |below: usize| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        usize::try_from(seed % below as u64).unwrap()
    };
    for _ in 0..150 {
        let alphabet = ["ab", "abc1", "a_./+", "0123456789abcdef"][next(4)].as_bytes();
        let secret: String = (0..8 + next(6)).map(|_| char::from(alphabet[next(alphabet.len())])).collect();
        let pieces: Vec<(u8, usize, String)> = (0..1 + next(5))
            .map(|_| {
                let text = (0..next(9)).map(|_| char::from(alphabet[next(alphabet.len())])).collect();
                (u8::try_from(next(4)).unwrap(), next(1000), text)
            })
            .collect();
        let body = body(&secret, &pieces);
        let every: Vec<usize> = (0..body.len()).collect();
        let cuts: Vec<&[usize]> = every.chunks(1).chain([every.as_slice(), &[]]).collect();
        check(&secret, &body, &cuts);
    }
}

#[test]
fn what_holds_nothing_is_passed_on_as_it_is() {
    let mut window = Window::new(compile("s3cr3t-value"));
    let chunk = Bytes::from("data: nothing here\n\n".repeat(40));
    let given = window.pass(chunk.clone());
    assert_eq!((given.as_ptr(), given.len()), (chunk.as_ptr(), chunk.len()));
    assert_eq!((window.held_bytes(), window.masked()), (0, 0));
    // A beginning is held, and nothing before it.
    let chunk = Bytes::from_static(b"data: s3cr");
    assert_eq!(window.pass(chunk), "data: ");
    assert_eq!(window.pass(Bytes::from_static(b"ewdriver\n\n")), "s3crewdriver\n\n");
    assert_eq!(window.pass(Bytes::from_static(b"s3cr3t-")), "");
    assert_eq!(window.pass(Bytes::from_static(b"value\n\n")), "************\n\n");
    assert_eq!(window.masked(), 1);
    assert_eq!(window.finish(), "");
}

#[test]
fn old_and_new_are_both_masked() {
    let both = compile("old-s3cr3t-value").and(&compile("new-s3cr3t-value"));
    let mut window = Window::new(both);
    assert_eq!(
        window.pass(Bytes::from_static(b"old-s3cr3t-value new-s3cr3t-value any-s3cr3t-value ")),
        "**************** **************** any-s3cr3t-value "
    );
}

/// What becomes of the head of an answer, `None` where it is refused.
fn answered(status: u16, fields: &[(&'static str, &'static str)], body: &'static str) -> Option<Response<http_body_util::Full<Bytes>>> {
    let mut response = Response::builder().status(status);
    for (name, value) in fields {
        response = response.header(*name, *value);
    }
    let mut response = response.body(http_body_util::Full::from(body)).unwrap();
    match answer(&mut response, &compile("s3cr3t-value"), Depth::Whole) {
        Ok(_) => Some(response),
        Err(refusal) => {
            assert_eq!(refusal.code, Code::Unscrubbable);
            None
        }
    }
}

#[test]
fn an_answer_that_cannot_be_searched_is_refused() {
    for (status, fields) in [
        (200, &[("content-encoding", "compress")][..]),
        (200, &[("content-encoding", "gzip, br")][..]),
        (200, &[("transfer-encoding", "gzip, chunked")][..]),
        (200, &[("transfer-encoding", "gzip"), ("transfer-encoding", "chunked")][..]),
        (206, &[][..]),
        (206, &[("content-type", "multipart/byteranges; boundary=x")][..]),
    ] {
        assert!(answered(status, fields, "body").is_none(), "{status} {fields:?}");
    }
    for (status, fields, body) in [
        (200, &[("transfer-encoding", "Chunked")][..], "body"),
        (200, &[("content-encoding", "gzip")][..], "body"),
        (404, &[("content-encoding", "identity")][..], "body"),
        // Without a body there is nothing to search: an answer to HEAD, a 204, a 304.
        (200, &[("content-encoding", "compress")][..], ""),
        (304, &[("content-encoding", "gzip, br")][..], ""),
    ] {
        assert!(answered(status, fields, body).is_some(), "{status} {fields:?}");
    }
}

#[test]
fn the_head_of_an_answer_is_masked_and_made_true() {
    let fields =
        [("x-echo", "s3cr3t-value"), ("content-encoding", "br"), ("content-length", "4"), ("accept-ranges", "bytes"), ("etag", "\"a\"")];
    let response = answered(200, &fields, "body").unwrap();
    assert_eq!(response.headers().len(), 2, "{response:?}");
    assert_eq!(
        (&response.headers()["x-echo"], &response.headers()["etag"]),
        (&"************".parse().unwrap(), &"W/\"a\"".parse().unwrap())
    );
}

#[test]
fn the_witness_is_told_once_and_only_where_there_is_something_to_tell() {
    use std::sync::Mutex;

    let told = Arc::new(Mutex::new(Vec::new()));
    let sieve = |fields| {
        let told = Arc::clone(&told);
        Sieve::of_body(compile("s3cr3t-value"), fields, None).told_to(move |sifted| told.lock().unwrap().push(sifted.masked))
    };
    drop(sieve(0));
    drop(sieve(2));
    let mut streaming = sieve(1);
    streaming.take(Bytes::from_static(b"s3cr3t-value s3cr3t-"));
    assert_eq!(streaming.give().unwrap().unwrap(), "************ ");
    assert!(!streaming.is_drained());
    streaming.take(Bytes::from_static(b"value"));
    assert_eq!(streaming.give().unwrap().unwrap(), "************");
    assert!(streaming.is_drained());
    streaming.end().unwrap();
    drop(streaming);
    assert_eq!(*told.lock().unwrap(), [2, 3]);
}
