use super::*;

fn needles(values: &[&[u8]]) -> Arc<Needles> {
    let values: Vec<Secret> = values.iter().map(|value| Secret::new(value.to_vec())).collect();
    Needles::compile(&values).unwrap()
}

/// What is found in a text that is complete.
fn found<'t>(needles: &Needles, text: &'t str) -> Vec<&'t str> {
    let mut found = Vec::new();
    needles.search(text.as_bytes(), Rest::Nothing, |range| found.push(text.get(range).unwrap()));
    found
}

/// The place of the first form that has begun.
fn open(needles: &Needles, text: &str) -> usize {
    needles.search(text.as_bytes(), Rest::Follows, |_| ())
}

#[test]
fn a_token_is_found_in_every_form() {
    let needles = needles(&[b"sk_live_4eC39HqLyjWD+/=x"]);
    for form in [
        "sk_live_4eC39HqLyjWD+/=x",
        // Percent: as RFC 3986, as encodeURI, everything but letters and digits, everything; a mix.
        "sk_live_4eC39HqLyjWD%2B%2F%3Dx",
        "sk_live_4eC39HqLyjWD%2b%2f%3dx",
        "sk%5Flive%5F4eC39HqLyjWD%2B%2F%3Dx",
        "%73%6B%5F%6C%69%76%65%5F%34%65%43%33%39%48%71%4C%79%6A%57%44%2B%2F%3D%78",
        "%73%6b%5f%6c%69%76%65%5f%34%65%43%33%39%48%71%4c%79%6a%57%44%2b%2f%3d%78",
        "sk_live_4eC39HqLyjWD%2B%2f=x",
        // JSON: the slash, .NET, everything; a mix.
        "sk_live_4eC39HqLyjWD+\\/=x",
        "sk_live_4eC39HqLyjWD\\u002B/=x",
        "sk_live_4eC39HqLyjWD\\u002b\\u002F\\u003dx",
        "\\u0073\\u006b\\u005f\\u006c\\u0069\\u0076\\u0065\\u005f\\u0034\\u0065\\u0043\\u0033\\u0039\\u0048\\u0071\\u004C\\u0079\\u006A\\u0057\\u0044\\u002B\\u002F\\u003D\\u0078",
        "sk_live_4eC39HqLyjWD%2B\\/\\u003dx",
        // Hexadecimal.
        "736b5f6c6976655f34654333394871 4c796a57442b2f3d78".split(' ').collect::<String>().leak(),
        "736B5F6C6976655F346543333948714C796A57442B2F3D78",
    ] {
        assert_eq!(found(&needles, form), [form]);
        assert_eq!(found(&needles, &format!("x{form}{form}%")), [form, form], "{form}");
    }
    for other in [
        "sk_live_4eC39HqLyjWD+/=",
        "k_live_4eC39HqLyjWD+/=x",
        "SK_live_4eC39HqLyjWD+/=x",
        "sk_live_4eC39HqLyjWD%2C/=x",
        "sk_live_4eC39HqLyjWD\\u002c/=x",
    ] {
        assert!(found(&needles, other).is_empty(), "{other}");
    }
}

#[test]
fn base64_is_found_wherever_the_value_stands_in_what_was_encoded() {
    use base64::Engine;
    use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

    // Bytes that give digits of both alphabets.
    let value = b"\xc3\xbf~~>>??\xc3\xbe+/secret~~?";
    let needles = needles(&[value]);
    for before in 0..7 {
        for after in 0..5 {
            let plain = [&b"abcdefg"[..before], value, &b"vwxyz"[..after]].concat();
            for encoded in [STANDARD.encode(&plain), URL_SAFE_NO_PAD.encode(&plain)] {
                let escaped = encoded.replace('/', "\\/");
                let percent = encoded.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D");
                for text in [encoded, escaped, percent] {
                    let found = found(&needles, &text);
                    // All but the digits that hold bits of the neighbours.
                    assert!(found.len() == 1 && found[0].len() >= value.len() * 4 / 3 - 1, "{text}: {found:?}");
                }
            }
        }
    }
}

#[test]
fn basic_is_found_as_it_went_out() {
    let needles = needles(&[b"open sesame", b"QWxhZGRpbjpvcGVuIHNlc2FtZQ=="]);
    // The password's own digits are found in it too.
    assert_eq!(found(&needles, "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==."), ["QWxhZGRpbjpvcGVuIHNlc2FtZQ==", "vcGVuIHNlc2FtZ"]);
    assert_eq!(found(&needles, "user=Aladdin&password=open+sesame"), ["open+sesame"]);
    assert_eq!(found(&needles, "open%20sesame"), ["open%20sesame"]);
    assert_eq!(found(&needles, "QWxhZGRpbjpvcGVuIHNlc2FtZQ%3D%3D").first(), Some(&"QWxhZGRpbjpvcGVuIHNlc2FtZQ%3D%3D"));
}

#[test]
fn text_beyond_ascii_and_values_full_of_escapes_are_found() {
    let umlauts = needles(&["pässwörter🔑".as_bytes()]);
    for form in ["pässwörter🔑", "p\\u00e4ssw\\u00F6rter\\ud83d\\udd11", "p%C3%A4ssw%c3%b6rter%F0%9F%94%91"] {
        assert_eq!(found(&umlauts, form), [form]);
    }
    let escapes = needles(&[br#"a%25b\\c\"d%"#]);
    for form in [r#"a%25b\\c\"d%"#, r#"a%25b\\\\c\\\"d%"#, "a%2525b%5C%5Cc%5C%22d%25", r#"a\u002525b\u005c\u005Cc\u005c\u0022d\u0025"#] {
        assert_eq!(found(&escapes, form), [form]);
    }
}

#[test]
fn only_what_may_still_become_a_form_is_open() {
    let needles = needles(&[b"s3cr3t+value"]);
    for (text, place) in [
        ("", 0),
        ("nothing", 7),
        ("xs", 1),
        ("xs3cr3", 1),
        ("xs3cr3t+valu", 1),
        ("xs3cr3t+value", 13),
        ("xs3cr3t%", 1),
        ("xs3cr3t%2", 1),
        ("xs3cr3t%3", 9),
        ("xs3cr3t\\u00", 1),
        ("xs3cr3t\\u01", 11),
        ("s3cr3s", 5),
        ("s3crs3cr", 4),
        ("7333637233742b76", 0),
        ("7333637233742cx", 15),
    ] {
        assert_eq!(open(&needles, text), place, "{text}");
    }
}

#[test]
fn occurrences_that_overlap_are_all_reported() {
    let twice = needles(&[b"abababab"]);
    assert_eq!(found(&twice, "ababababab"), ["abababab", "abababab"]);
    let chained = needles(&[b"12345678abc", b"abc45678xyz"]);
    assert_eq!(found(&chained, "12345678abc45678xyz"), ["12345678abc", "abc45678xyz"]);
    let both = needles(&[b"12345678abc"]).and(&needles(&[b"abc45678xyz"]));
    assert_eq!(found(&both, "12345678abc45678xyz"), ["12345678abc", "abc45678xyz"]);
}

#[test]
fn a_value_that_is_too_short_is_no_needle() {
    let of = |values: &[&[u8]]| Needles::compile(&values.iter().map(|value| Secret::new(value.to_vec())).collect::<Vec<_>>());
    assert!(of(&[]).is_none());
    assert!(of(&[b"1234567"]).is_none());
    assert!(of(&[b"123456789", b"1234567"]).is_none());
    assert!(of(&[b"12345678"]).is_some());
}

#[test]
fn many_values_are_found_and_without_vectors_too() {
    let values: Vec<Secret> = (0..40).map(|number| Secret::new(format!("{number:02}-value-{number:02}").into_bytes())).collect();
    let vectors = Needles::compile(&values).unwrap();
    assert!(matches!(&vectors.search, Search::Packed(searchers) if searchers.len() > 1));
    let mut plain = Needles::of(values.into_iter().flat_map(|value| Form::all(Arc::new(value))).collect());
    Arc::get_mut(&mut plain).unwrap().search = Search::Plain;
    for needles in [&vectors, &plain] {
        assert_eq!(found(needles, "..00-value-00..39-value-39.."), ["00-value-00", "39-value-39"]);
        let mixed = ["39-value-39", "%30%30%2dvalue-00", "00-value-00", "30302d76616c75652d3030"];
        assert_eq!(found(needles, &mixed.concat()), mixed);
        assert_eq!(open(needles, "..17-val"), 2);
    }
}

#[test]
fn forms_are_kept_small() {
    let jwt = "eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9.".repeat(40);
    for value in ["sk_live_4eC39HqLyjWDarjtT1zdp7dc", "p\"w+/=&<>'%\\ äé", &jwt] {
        let needles = needles(&[value.as_bytes()]);
        let Search::Packed(searchers) = &needles.search else { continue };
        let bytes: usize = searchers.iter().map(Searcher::memory_usage).sum();
        assert!(bytes + needles.heads.len() * size_of::<Beginning>() < 32 << 10, "{bytes} bytes, {} heads", needles.heads.len());
    }
}

#[test]
fn nothing_of_a_value_is_printed() {
    assert!(!format!("{:?}", needles(&[b"s3cr3t-value"])).contains("s3cr3t"));
}
