//! HTTP/1.1 by hand.

use std::io::{ErrorKind, Read, Write};

use anyhow::{Result, bail};

use super::way::{Answer, Request, Way};
use super::wire::Target;

/// The request as bytes; the connection ends with its answer.
#[must_use]
pub fn write(target: &Target, way: Way, request: &Request) -> Vec<u8> {
    let place = place(way);
    let authority = target.fill(&request.authority);
    let host = if way == Way::Route { "127.0.0.1".to_owned() } else { authority.clone() };
    let mut head = format!("{} {}{} HTTP/1.1\r\n", request.method, place, request.path).replace("{target}", &authority);
    for host in request.hosts.as_ref().unwrap_or(&vec![host]) {
        head += &format!("Host: {host}\r\n");
    }
    for (name, value) in &request.headers {
        head += &format!("{name}: {value}\r\n");
    }
    if let Some(body) = &request.body {
        head += &format!("Content-Length: {}\r\n", body.len());
    }
    if !request.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("connection")) {
        head += "Connection: close\r\n";
    }
    head += if way.inside() == Way::ConnectH1 { "" } else { "{proof}" };
    let head = target.fill(&head).replace("{route}", &target.route).replace("{proof}", &target.proof());
    [head.as_bytes(), b"\r\n", request.body.as_deref().unwrap_or_default()].concat()
}

/// A raw request: `{target}` stands for what comes before the path by this way, `{host}` for the Host that agrees.
#[must_use]
pub fn fill(target: &Target, way: Way, text: &str) -> Vec<u8> {
    let host = if way == Way::Route { "127.0.0.1".to_owned() } else { target.authority() };
    let place = place(way).replace("{target}", &target.authority()).replace("{route}", &target.route);
    let text = text.replace("{target}", &place).replace("{host}", &host);
    let text = if way.inside() == Way::ConnectH1 { text } else { text.replacen("\r\n", &format!("\r\n{}", target.proof()), 1) };
    target.fill(&text).into_bytes()
}

/// What stands before the path.
fn place(way: Way) -> &'static str {
    match way.inside() {
        Way::Absolute | Way::Unix => "https://{target}",
        Way::Route => "/{route}",
        Way::ConnectH1 | Way::ConnectH2 | Way::CapturedH1 | Way::CapturedH2 => "",
    }
}

/// Writes, then reads until the other side closes.
///
/// # Errors
/// Where nothing comes for too long.
pub fn converse<S: Read + Write + ?Sized>(stream: &mut S, bytes: &[u8]) -> Result<Answer> {
    // A peer that refuses closes while we still write: what it said before is the answer.
    let _ = stream.write_all(bytes).and_then(|()| stream.flush());
    Ok(read(&drain(stream)?))
}

/// Everything up to the end of the connection, however it ends.
///
/// # Errors
/// Where nothing comes for too long.
pub fn drain<S: Read + ?Sized>(stream: &mut S) -> Result<Vec<u8>> {
    let mut raw = Vec::new();
    let mut some = [0_u8; 16 << 10];
    loop {
        match stream.read(&mut some) {
            Ok(0) => return Ok(raw),
            Ok(count) => raw.extend(some.iter().take(count)),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                bail!("nothing came for too long after {:?}", String::from_utf8_lossy(&raw))
            }
            // A reset, or TLS without close_notify.
            Err(_) => return Ok(raw),
        }
    }
}

/// The first answer of these bytes that is not interim, and how many there are.
#[must_use]
pub fn read(raw: &[u8]) -> Answer {
    let mut answer = Answer { raw: raw.to_vec(), ..Answer::default() };
    let mut rest = raw;
    loop {
        let mut fields = [httparse::EMPTY_HEADER; 256];
        let mut head = httparse::Response::new(&mut fields);
        let Ok(httparse::Status::Complete(length)) = head.parse(rest) else { return answer };
        let body = rest.get(length..).unwrap_or_default();
        let status = head.code.unwrap_or_default();
        if (100..200).contains(&status) && status != 101 {
            rest = body;
            continue;
        }
        answer.status = status;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        answer.fields = head.headers.iter().map(|field| (field.name.to_owned(), text(field.value))).collect();
        answer.code = answer.values("x-keygress-refusal").first().map(ToString::to_string).unwrap_or_default();
        let chunked = answer.values("transfer-encoding").iter().any(|value| value.contains("chunked"));
        answer.body = if chunked { unchunked(body, &mut answer.fields) } else { body.to_vec() };
        answer.answers = raw.windows(9).filter(|window| *window == b"HTTP/1.1 " || *window == b"HTTP/1.0 ").count();
        return answer;
    }
}

/// What chunks hold; their trailers go behind the fields.
fn unchunked(mut rest: &[u8], fields: &mut Vec<(String, String)>) -> Vec<u8> {
    let mut body = Vec::new();
    while let Ok(httparse::Status::Complete((length, size))) = httparse::parse_chunk_size(rest) {
        let chunk = rest.get(length..).unwrap_or_default();
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        if size == 0 {
            let text = String::from_utf8_lossy(chunk);
            fields.extend(text.lines().filter_map(|line| line.split_once(": ")).map(|(name, value)| (name.to_owned(), value.to_owned())));
            break;
        }
        body.extend(chunk.iter().take(size));
        rest = chunk.get(size.saturating_add(2)..).unwrap_or_default();
    }
    body
}
