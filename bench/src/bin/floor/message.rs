//! Where messages begin and end, and the one header.

use std::io::{self, ErrorKind};

/// How many header fields a head may have.
const FIELDS_MAX: usize = 64;

/// Fields of a request that the forwarder writes itself.
const REPLACED: [&str; 2] = ["host", "authorization"];

/// What is left of a body.
#[derive(Debug, PartialEq)]
pub(crate) enum Body {
    /// So many bytes.
    Length(u64),
    /// Chunks; so many bytes of the present one, with the line end behind it.
    Chunk(u64),
    /// The fields behind the last chunk.
    Trailers,
    /// Everything until the connection ends.
    ToTheEnd,
}

/// A head.
#[derive(Debug, PartialEq)]
pub(crate) struct Head {
    /// Its length in bytes.
    pub(crate) length: usize,
    /// What follows.
    pub(crate) body: Body,
    /// A response that only announces another one.
    pub(crate) is_interim: bool,
    /// A request for a response without a body.
    pub(crate) is_head: bool,
}

/// Reads the head of a request, and writes the one that goes out. `None` where it is not all there.
pub(crate) fn request(bytes: &[u8], own: &str, out: &mut Vec<u8>) -> io::Result<Option<Head>> {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
    let mut request = httparse::Request::new(&mut fields);
    let length = match request.parse(bytes).map_err(invalid)? {
        httparse::Status::Partial => return Ok(None),
        httparse::Status::Complete(length) => length,
    };
    let method = request.method.unwrap_or_default();
    for part in [method, " ", request.path.unwrap_or_default(), " HTTP/1.1\r\n", own] {
        out.extend_from_slice(part.as_bytes());
    }
    for field in request.headers.iter().filter(|field| !REPLACED.iter().any(|replaced| field.name.eq_ignore_ascii_case(replaced))) {
        for part in [field.name.as_bytes(), b": ", field.value, b"\r\n"] {
            out.extend_from_slice(part);
        }
    }
    out.extend_from_slice(b"\r\n");
    let body = body(request.headers, Body::Length(0))?;
    Ok(Some(Head { length, body, is_interim: false, is_head: method == "HEAD" }))
}

/// Reads the head of a response, which goes on as it is. `None` where it is not all there.
pub(crate) fn response(bytes: &[u8], to_head: bool) -> io::Result<Option<Head>> {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
    let mut response = httparse::Response::new(&mut fields);
    let length = match response.parse(bytes).map_err(invalid)? {
        httparse::Status::Partial => return Ok(None),
        httparse::Status::Complete(length) => length,
    };
    let status = response.code.unwrap_or_default();
    let is_interim = (100..200).contains(&status);
    let is_empty = to_head || is_interim || status == 204 || status == 304;
    let body = if is_empty { Body::Length(0) } else { body(response.headers, Body::ToTheEnd)? };
    Ok(Some(Head { length, body, is_interim, is_head: false }))
}

fn body(fields: &[httparse::Header<'_>], otherwise: Body) -> io::Result<Body> {
    let value = |name: &str| fields.iter().find(|field| field.name.eq_ignore_ascii_case(name)).map(|field| field.value);
    if value("transfer-encoding").is_some() {
        return Ok(Body::Chunk(0));
    }
    let Some(length) = value("content-length") else { return Ok(otherwise) };
    let length = std::str::from_utf8(length).ok().and_then(|length| length.parse().ok());
    Ok(Body::Length(length.ok_or_else(|| io::Error::from(ErrorKind::InvalidData))?))
}

impl Body {
    /// How many of these bytes belong to it, and whether it ends with them.
    pub(crate) fn take(&mut self, bytes: &[u8]) -> io::Result<(usize, bool)> {
        let mut taken = 0;
        loop {
            let rest = bytes.get(taken..).unwrap_or_default();
            match self {
                Self::ToTheEnd => return Ok((bytes.len(), false)),
                Self::Length(left) => {
                    let length = take(left, rest);
                    return Ok((taken + length, *left == 0));
                }
                Self::Chunk(left) if *left > 0 => {
                    taken += take(left, rest);
                    if *left > 0 {
                        return Ok((taken, false));
                    }
                }
                Self::Chunk(left) => match httparse::parse_chunk_size(rest).map_err(|_| ErrorKind::InvalidData)? {
                    httparse::Status::Partial => return Ok((taken, false)),
                    httparse::Status::Complete((line, 0)) => {
                        taken += line;
                        *self = Self::Trailers;
                    }
                    httparse::Status::Complete((line, size)) => {
                        taken += line;
                        *left = size.saturating_add(2);
                    }
                },
                Self::Trailers => {
                    let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
                    return match httparse::parse_headers(rest, &mut fields).map_err(invalid)? {
                        httparse::Status::Partial => Ok((taken, false)),
                        httparse::Status::Complete((length, _)) => Ok((taken + length, true)),
                    };
                }
            }
        }
    }
}

fn take(left: &mut u64, bytes: &[u8]) -> usize {
    let length = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
    *left -= length as u64;
    length
}

fn invalid(error: httparse::Error) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, error)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "test code")]
mod tests {
    use super::*;

    #[test]
    fn the_one_header_is_put_on_and_the_callers_own_is_gone() {
        let mut out = Vec::new();
        let bytes = b"POST /a HTTP/1.1\r\nHost: x\r\nAuthorization: own\r\nContent-Length: 3\r\n\r\nabcGET";
        let head = request(bytes, "host: api\r\nauthorization: Bearer t\r\n", &mut out).unwrap().unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "POST /a HTTP/1.1\r\nhost: api\r\nauthorization: Bearer t\r\nContent-Length: 3\r\n\r\n"
        );
        let mut body = head.body;
        assert_eq!(body.take(&bytes[head.length..]).unwrap(), (3, true));
        assert!(request(&bytes[..20], "", &mut Vec::new()).unwrap().is_none());
    }

    #[test]
    fn chunks_end_where_they_end_however_they_arrive() {
        let bytes = b"5;x=y\r\nabcde\r\n0\r\nT: v\r\n\r\nHTTP/1.1";
        let whole = Body::Chunk(0).take(bytes).unwrap();
        assert_eq!(whole, (bytes.len() - 8, true));
        let (mut body, mut sent, mut from) = (Body::Chunk(0), 0, 0);
        loop {
            sent += 1;
            let (taken, is_all) = body.take(&bytes[from..sent]).unwrap();
            from += taken;
            if is_all {
                break;
            }
        }
        assert_eq!(from, bytes.len() - 8);
        assert!(Body::Chunk(0).take(b"zz\r\n").is_err());
    }

    #[test]
    fn responses_without_a_body_have_none() {
        let ok = b"HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\n";
        assert_eq!(response(ok, false).unwrap().unwrap().body, Body::Length(7));
        assert_eq!(response(ok, true).unwrap().unwrap().body, Body::Length(0));
        assert_eq!(response(b"HTTP/1.1 304 x\r\ncontent-length: 7\r\n\r\n", false).unwrap().unwrap().body, Body::Length(0));
        assert!(response(b"HTTP/1.1 100 Continue\r\n\r\n", false).unwrap().unwrap().is_interim);
        assert_eq!(response(b"HTTP/1.1 200 OK\r\n\r\n", false).unwrap().unwrap().body, Body::ToTheEnd);
    }
}
