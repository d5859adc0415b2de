//! HTTP/2 by hand: frames and header blocks that no client library would write (RFC 9113, RFC 7541).

use std::io::{ErrorKind, Read, Write};

use anyhow::{Context, Result, bail, ensure};
use httlib_hpack::Decoder;

use super::way::{Answer, Request, Way};
use super::wire::{Target, Tls};

/// Frame types.
pub const DATA: u8 = 0;
/// A header block, or the beginning of one.
pub const HEADERS: u8 = 1;
/// The end of one stream.
pub const RST_STREAM: u8 = 3;
/// Parameters of the connection.
pub const SETTINGS: u8 = 4;
/// A ping.
pub const PING: u8 = 6;
/// The end of the connection.
pub const GOAWAY: u8 = 7;
/// More room for data.
pub const WINDOW_UPDATE: u8 = 8;
/// More of a header block.
pub const CONTINUATION: u8 = 9;

/// The last frame of a stream.
pub const END_STREAM: u8 = 1;
/// The answer to a ping, or to parameters.
pub const ACK: u8 = 1;
/// The last frame of a header block.
pub const END_HEADERS: u8 = 4;

/// A frame as it came.
#[derive(Clone, Debug)]
pub struct Frame {
    /// Type.
    pub kind: u8,
    /// Flags.
    pub flags: u8,
    /// Stream; 0 for the connection.
    pub stream: u32,
    /// Payload.
    pub payload: Vec<u8>,
}

/// One HTTP/2 connection inside TLS.
pub struct Connection {
    tls: Tls,
    decoder: Decoder<'static>,
    next: u32,
}

impl Connection {
    /// Opens a connection to the upstream by this way and says the preface: no dynamic table, no push, all the room in the world.
    ///
    /// # Errors
    /// Where it is refused.
    pub fn open(target: &Target, way: Way) -> Result<Self> {
        let mut tls = target.secured(way, &target.host, b"h2")?;
        ensure!(tls.conn.alpn_protocol() == Some(b"h2"), "HTTP/2 was not agreed on");
        tls.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")?;
        let mut connection = Self { tls, decoder: Decoder::with_dynamic_size(0), next: 1 };
        let mut settings = Vec::new();
        for (name, value) in [(1_u16, 0_u32), (2, 0), (4, 1 << 30)] {
            settings.extend(name.to_be_bytes());
            settings.extend(value.to_be_bytes());
        }
        connection.write(SETTINGS, 0, 0, &settings)?;
        connection.write(WINDOW_UPDATE, 0, 0, &(1_u32 << 30).to_be_bytes())?;
        Ok(connection)
    }

    /// The id of a new stream.
    pub fn stream(&mut self) -> u32 {
        let stream = self.next;
        self.next = self.next.wrapping_add(2);
        stream
    }

    /// Writes one frame.
    ///
    /// # Errors
    /// Where the connection has ended.
    pub fn write(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Result<()> {
        let [_, high, middle, low] = u32::try_from(payload.len())?.to_be_bytes();
        let head = [high, middle, low, kind, flags];
        self.tls.write_all(&[&head[..], &stream.to_be_bytes(), payload].concat())?;
        Ok(self.tls.flush()?)
    }

    /// Reads one frame; `None` where the connection has ended.
    ///
    /// # Errors
    /// Where nothing comes for too long.
    pub fn read(&mut self) -> Result<Option<Frame>> {
        let mut head = [0_u8; 9];
        if !filled(&mut self.tls, &mut head)? {
            return Ok(None);
        }
        let [high, middle, low, kind, flags, stream @ ..] = head;
        let mut payload = vec![0; usize::try_from(u32::from_be_bytes([0, high, middle, low]))?];
        if !filled(&mut self.tls, &mut payload)? {
            return Ok(None);
        }
        Ok(Some(Frame { kind, flags, stream: u32::from_be_bytes(stream) & 0x7fff_ffff, payload }))
    }

    /// Asks, and reads what comes back.
    ///
    /// # Errors
    /// As [`Connection::answer`].
    pub fn ask(&mut self, target: &Target, request: &Request) -> Result<Answer> {
        let stream = self.stream();
        let end = if request.body.is_some() { END_HEADERS } else { END_HEADERS | END_STREAM };
        let sent = self.write(HEADERS, end, stream, &block(&fields(target, request)));
        let sent = sent.and_then(|()| match &request.body {
            Some(body) => self.write(DATA, END_STREAM, stream, body),
            None => Ok(()),
        });
        // A peer that has had enough may have closed already; what it said before is the answer.
        drop(sent);
        self.answer(stream)
    }

    /// Says this header block as it stands, and reads what comes back.
    ///
    /// # Errors
    /// As [`Connection::answer`].
    pub fn say(&mut self, fields: &[(String, String)], body: Option<&[u8]>) -> Result<Answer> {
        let stream = self.stream();
        let end = if body.is_some() { END_HEADERS } else { END_HEADERS | END_STREAM };
        drop(self.write(HEADERS, end, stream, &block(fields)));
        if let Some(body) = body {
            drop(self.write(DATA, END_STREAM, stream, body));
        }
        self.answer(stream)
    }

    /// Reads up to the end of a stream; status 0 where it, or the connection, was reset.
    ///
    /// # Errors
    /// Where nothing comes for too long, or it is no HTTP/2.
    pub fn answer(&mut self, stream: u32) -> Result<Answer> {
        let mut answer = Answer::default();
        while let Some(frame) = self.read()? {
            match frame.kind {
                SETTINGS if frame.flags & END_STREAM == 0 => drop(self.write(SETTINGS, END_STREAM, 0, &[])),
                PING if frame.flags & END_STREAM == 0 => drop(self.write(PING, END_STREAM, 0, &frame.payload)),
                GOAWAY => answer.raw.extend(&frame.payload),
                _ if frame.stream != stream => {}
                HEADERS => self.head(&frame, &mut answer)?,
                DATA => {
                    answer.raw.extend(&frame.payload);
                    answer.body.extend(frame.payload);
                }
                RST_STREAM if answer.status != 0 && frame.payload == [0; 4] => return Ok(answer),
                RST_STREAM => return Ok(Answer { status: 0, ..answer }),
                _ => {}
            }
            let is_last = matches!(frame.kind, HEADERS | DATA) && frame.stream == stream && frame.flags & END_STREAM != 0;
            if is_last {
                return Ok(answer);
            }
        }
        Ok(Answer { status: 0, ..answer })
    }

    fn head(&mut self, frame: &Frame, answer: &mut Answer) -> Result<()> {
        ensure!(frame.flags & END_HEADERS != 0, "a header block in pieces is not read here");
        let (mut block, mut fields) = (frame.payload.clone(), Vec::new());
        self.decoder.decode(&mut block, &mut fields).map_err(|why| anyhow::anyhow!("HPACK: {why:?}"))?;
        for (name, value, _) in fields {
            let (name, value) = (String::from_utf8_lossy(&name).into_owned(), String::from_utf8_lossy(&value).into_owned());
            answer.raw.extend(format!("{name}: {value}\r\n").bytes());
            if name == ":status" {
                answer.status = value.parse().context("a status")?;
                answer.answers = answer.answers.saturating_add(1);
            } else {
                if name == "x-keygress-refusal" {
                    answer.code.clone_from(&value);
                }
                answer.fields.push((name, value));
            }
        }
        Ok(())
    }
}

/// Reads exactly this much; `false` where the connection ended.
fn filled(tls: &mut Tls, room: &mut [u8]) -> Result<bool> {
    match tls.read_exact(room) {
        Ok(()) => Ok(true),
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => bail!("nothing came for too long"),
        Err(_) => Ok(false),
    }
}

/// The fields of a request, pseudo-header fields first.
#[must_use]
pub fn fields(target: &Target, request: &Request) -> Vec<(String, String)> {
    let pseudo = [(":method", &*request.method), (":scheme", "https"), (":authority", &*request.authority), (":path", &*request.path)];
    let mut fields: Vec<_> = pseudo.iter().map(|(name, value)| ((*name).to_owned(), target.fill(value))).collect();
    fields.extend(request.hosts.iter().flatten().map(|host| ("host".to_owned(), target.fill(host))));
    fields.extend(request.headers.iter().map(|(name, value)| (name.to_ascii_lowercase(), target.fill(value))));
    fields
}

/// A header block of literals (RFC 7541, section 6.2.2): nothing is checked, nothing is compressed.
#[must_use]
pub fn block(fields: &[(String, String)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            length(text.len(), &mut block);
            block.extend(text.bytes());
        }
    }
    block
}

/// An integer with a prefix of seven bits (RFC 7541, section 5.1), the eighth being 0: not Huffman.
fn length(length: usize, block: &mut Vec<u8>) {
    let Some(mut rest) = length.checked_sub(127) else { return block.push(u8::try_from(length).unwrap_or_default()) };
    block.push(127);
    while rest >= 128 {
        block.push(u8::try_from(rest & 127).unwrap_or_default() | 128);
        rest >>= 7;
    }
    block.push(u8::try_from(rest).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_by_hand_is_read_by_the_library() {
        let fields: Vec<_> = [("a", "b".repeat(3)), ("long", "c".repeat(300)), ("longer", "d".repeat(20_000))]
            .map(|(name, value)| (name.to_owned(), value))
            .to_vec();
        let mut read = Vec::new();
        Decoder::with_dynamic_size(0).decode(&mut block(&fields), &mut read).unwrap();
        let read: Vec<_> =
            read.into_iter().map(|(name, value, _)| (String::from_utf8(name).unwrap(), String::from_utf8(value).unwrap())).collect();
        assert_eq!(read, fields);
    }
}
