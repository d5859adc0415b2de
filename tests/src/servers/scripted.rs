//! A TLS upstream of HTTP/1.1 that answers as a test says, byte for byte, and remembers what it read: no library stands between.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::echo::tls;
use crate::site::{Site, Validity};

/// How long it waits for the rest of a request.
const TIME_MAX: Duration = Duration::from_secs(60);

/// What it answers to the text of a request: head and body as they came.
pub type Answer = dyn Fn(&str) -> Vec<u8> + Send + Sync;

/// A running upstream; it accepts until the process ends.
pub struct Scripted {
    /// Its port.
    pub port: u16,
    seen: Mutex<Seen>,
}

struct Seen {
    coming: Receiver<String>,
    read: Vec<String>,
}

impl Scripted {
    /// Starts it with a good certificate for this host.
    ///
    /// # Errors
    /// Where no port or certificate can be had.
    pub fn start(site: &Site, host: &str, answer: impl Fn(&str) -> Vec<u8> + Send + Sync + 'static) -> Result<Self> {
        let config = Arc::new(tls(&site.certificate(host, Validity::Current)?, &[b"http/1.1"])?);
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let port = listener.local_addr()?.port();
        let (sender, coming) = channel();
        let answer: Arc<Answer> = Arc::new(answer);
        std::thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                let (config, sender, answer) = (Arc::clone(&config), sender.clone(), Arc::clone(&answer));
                std::thread::spawn(move || serve(stream, config, &sender, &*answer));
            }
        });
        Ok(Self { port, seen: Mutex::new(Seen { coming, read: Vec::new() }) })
    }

    /// Every request so far, head and body.
    #[must_use]
    pub fn seen(&self) -> Vec<String> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh: Vec<_> = seen.coming.try_iter().collect();
        seen.read.extend(fresh);
        seen.read.clone()
    }
}

/// Answers requests until the other side closes or an answer cannot be written; what is left of the connection then is nobody's.
fn serve(stream: TcpStream, config: Arc<ServerConfig>, sender: &Sender<String>, answer: &Answer) -> Result<()> {
    stream.set_read_timeout(Some(TIME_MAX))?;
    stream.set_write_timeout(Some(TIME_MAX))?;
    let mut tls = StreamOwned::new(ServerConnection::new(config)?, stream);
    loop {
        let mut read = Vec::new();
        let mut some = [0_u8; 4096];
        while !is_whole(&read) {
            let count = tls.read(&mut some)?;
            read.extend(some.get(..count).filter(|some| !some.is_empty()).context("closed")?);
        }
        let text = String::from_utf8_lossy(&read).into_owned();
        sender.send(text.clone())?;
        let bytes = answer(&text);
        let closes = String::from_utf8_lossy(&bytes).to_ascii_lowercase().contains("connection: close");
        tls.write_all(&bytes)?;
        tls.flush()?;
        if closes {
            tls.conn.send_close_notify();
            return Ok(tls.flush()?);
        }
    }
}

/// Whether a request is there with all of its body.
fn is_whole(read: &[u8]) -> bool {
    let text = String::from_utf8_lossy(read).to_ascii_lowercase();
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    if head.contains("transfer-encoding: chunked") {
        return body.ends_with("0\r\n\r\n");
    }
    let length = head.split("content-length: ").nth(1).and_then(|rest| rest.lines().next()).and_then(|length| length.trim().parse().ok());
    body.len() >= length.unwrap_or(0)
}

/// The value that the request brought as `Authorization: Bearer`.
#[must_use]
pub fn bearer(request: &str) -> &str {
    let value = request.split("\r\n").find_map(|line| line.strip_prefix("authorization: Bearer "));
    value.unwrap_or_default()
}
