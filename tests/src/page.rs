//! The admin page as `keygress ui` serves it, and requests to it that no browser would make.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;

use anyhow::{Context, Result};
use keygress::ui::Server;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::client::TIME_MAX;

/// A page that is served; it ends with its handle.
pub struct Page {
    address: SocketAddr,
    link: String,
    _runtime: Runtime,
}

/// What came back.
#[derive(Debug)]
pub struct Heard {
    /// Status.
    pub status: u16,
    /// Status line and fields.
    pub head: String,
    /// Body.
    pub body: String,
}

/// The two proofs of an open session.
#[derive(Clone, Debug)]
pub struct Session {
    /// The cookie, as `name=value`.
    pub cookie: String,
    /// The field `Authorization`.
    pub bearer: String,
}

impl Heard {
    /// The body as JSON; null where it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }

    /// The value of a field of the head.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&str> {
        let mut fields = self.head.lines().skip(1).filter_map(|line| line.split_once(": "));
        fields.find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
}

impl Page {
    /// Serves the page of the keygress behind this admin socket.
    ///
    /// # Errors
    /// Where it cannot listen.
    pub fn start(admin: &Path) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let server = runtime.block_on(Server::bind(0, admin.to_owned()))?;
        let link = server.link();
        let address = link.split('/').nth(2).context("no address")?.parse()?;
        runtime.spawn(server.serve());
        Ok(Self { address, link, _runtime: runtime })
    }

    /// The link that opens it once.
    #[must_use]
    pub fn link(&self) -> &str {
        &self.link
    }

    /// Its origin.
    #[must_use]
    pub fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// One request with these fields beside its length.
    ///
    /// # Errors
    /// Where nothing comes back that is HTTP.
    pub fn ask(&self, method: &str, path: &str, fields: &[(&str, &str)], body: &str) -> Result<Heard> {
        let fields: String = fields.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let mut stream = TcpStream::connect(self.address)?;
        stream.set_read_timeout(Some(TIME_MAX))?;
        write!(stream, "{method} {path} HTTP/1.1\r\n{fields}Connection: close\r\nContent-Length: {}\r\n\r\n{body}", body.len())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let (head, body) = answer.split_once("\r\n\r\n").context("no answer")?;
        let status = head.split(' ').nth(1).context("no status")?.parse()?;
        Ok(Heard { status, head: head.to_owned(), body: chunks(head, body) })
    }

    /// Exchanges the key of the link, as the page does.
    ///
    /// # Errors
    /// Where nothing comes back.
    pub fn exchange(&self) -> Result<Heard> {
        let (_, key) = self.link.split_once("#open=").context("no key")?;
        let (host, origin) = (self.address.to_string(), self.origin());
        self.ask("POST", "/session", &[("Host", &host), ("Origin", &origin)], &json!({ "key": key }).to_string())
    }

    /// Opens the session.
    ///
    /// # Errors
    /// Where it was opened before.
    pub fn open(&self) -> Result<Session> {
        let opened = self.exchange()?;
        let cookie = opened.field("set-cookie").and_then(|cookie| cookie.split(';').next()).context("no cookie")?;
        let token = opened.json();
        let bearer = format!("Bearer {}", token.get("bearer").and_then(Value::as_str).context("no token")?);
        Ok(Session { cookie: cookie.to_owned(), bearer })
    }

    /// A request of the page itself.
    ///
    /// # Errors
    /// Where nothing comes back.
    pub fn by(&self, session: &Session, method: &str, path: &str, body: &Value) -> Result<Heard> {
        let (host, origin) = (self.address.to_string(), self.origin());
        let fields = [
            ("Host", &*host),
            ("Origin", &origin),
            ("Cookie", &session.cookie),
            ("Authorization", &session.bearer),
            ("Sec-Fetch-Site", "same-origin"),
        ];
        let body = if method == "POST" { body.to_string() } else { String::new() };
        self.ask(method, path, &fields, &body)
    }
}

/// The body without the sizes of its chunks.
fn chunks(head: &str, body: &str) -> String {
    if !head.to_ascii_lowercase().contains("transfer-encoding: chunked") {
        return body.to_owned();
    }
    let (mut rest, mut whole) = (body, String::new());
    while let Some((size, after)) = rest.split_once("\r\n")
        && let Ok(size) = usize::from_str_radix(size, 16)
        && let Some(chunk) = after.get(..size).filter(|chunk| !chunk.is_empty())
    {
        whole.push_str(chunk);
        rest = after.get(size + 2..).unwrap_or_default();
    }
    whole
}
