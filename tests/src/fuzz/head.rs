use std::io::{Read, Write};
use std::net::Shutdown;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::attack::ground::{Ground, HOST};
use crate::servers::scripted::{Scripted, bearer};
use crate::site::Site;

/// What stands for the authority of the upstream, whose port nobody knows beforehand.
const AUTHORITY: &str = "api.test:4433";

/// What heads are made of, and what cuts one request in two.
pub(super) const WORDS: &[&str] = &[
    "GET ",
    "POST ",
    "HEAD ",
    "get ",
    "CONNECT ",
    "TRACE ",
    "https://api.test:4433",
    "http://api.test:4433",
    "/api",
    "/except/b",
    "/hello",
    "/../",
    "%2e%2e/",
    "//",
    " HTTP/1.1\r\n",
    " HTTP/1.0\r\n",
    " HTTP/2.0\r\n",
    "\r\n",
    "\n",
    "\r",
    "\r\n\r\n",
    "Host: api.test:4433\r\n",
    "Host: evil.test\r\n",
    "Host : ",
    " ",
    "\t",
    "\0",
    "Content-Length: 5\r\n",
    "Content-Length: 0\r\n",
    "Content-Length: +5\r\n",
    "Transfer-Encoding: chunked\r\n",
    "Transfer-Encoding: xchunked\r\n",
    "0\r\n\r\n",
    "5\r\nhello\r\n",
    "5;x=y\r\n",
    "ffffffffffffffff\r\n",
    "Connection: close\r\n",
    "Connection: authorization\r\n",
    "Connection: host\r\n",
    "Upgrade: h2c\r\n",
    "Authorization: Bearer theirs\r\n",
    "X-Api-Key: theirs\r\n",
    "X-HTTP-Method-Override: DELETE\r\n",
    "X-Original-URL: /except/b\r\n",
    "Expect: 100-continue\r\n",
    "Proxy-Authorization: Basic dGFzazp4\r\n",
    "?access_token=theirs",
    "Trailer: x\r\n",
    "hello",
    ":",
    "@",
];

/// How long an answer may take before the connection is given up: a body that is announced and does not come is waited for.
const PATIENCE: Duration = Duration::from_millis(150);

/// A proxy before an upstream, one for the process.
struct Stage {
    ground: Ground<Scripted>,
    looked_at: usize,
}

/// Whatever is written to the listener, what arrives at the upstream is a request that the policy allows, framed once, with our credential
/// and nobody else's; and the credential does not come back.
pub(super) fn head(bytes: &[u8]) -> Result<()> {
    static STAGE: OnceLock<Mutex<Stage>> = OnceLock::new();
    let stage = match STAGE.get() {
        Some(stage) => stage,
        None => {
            let stage = Mutex::new(Stage::open()?);
            STAGE.get_or_init(|| stage)
        }
    };
    stage.lock().unwrap_or_else(PoisonError::into_inner).play(bytes)
}

impl Stage {
    fn open() -> Result<Self> {
        let site = Site::new()?;
        let api = Scripted::start(&site, HOST, |request| {
            format!("HTTP/1.1 200 OK\r\nX-Echo: {0}\r\nContent-Length: {1}\r\n\r\n{0}", bearer(request), bearer(request).len()).into_bytes()
        })?;
        Ok(Self { ground: Ground::around(site, api, "", "")?, looked_at: 0 })
    }

    fn play(&mut self, bytes: &[u8]) -> Result<()> {
        let said = self.said(bytes)?;
        ensure!(self.ground.oracle.finds(&said).is_empty(), "the credential came back: {}", String::from_utf8_lossy(&said));
        let seen = self.ground.api.seen();
        for request in seen.iter().skip(self.looked_at) {
            self.allowed(request).with_context(|| format!("what arrived:\n{request}"))?;
        }
        self.looked_at = seen.len();
        Ok(())
    }

    /// Says these bytes, then a request that ends the connection where it is still read; all that comes back.
    fn said(&self, bytes: &[u8]) -> Result<Vec<u8>> {
        let authority = self.ground.target.authority();
        let mut text = Vec::new();
        let mut rest = bytes;
        while let Some(at) = memchr::memmem::find(rest, AUTHORITY.as_bytes()) {
            let (before, behind) = rest.split_at(at);
            text.extend_from_slice(before);
            text.extend_from_slice(authority.as_bytes());
            rest = behind.get(AUTHORITY.len()..).unwrap_or_default();
        }
        text.extend_from_slice(rest);
        text.extend_from_slice(
            format!("\r\n\r\nGET https://{authority}/last HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\n\r\n").as_bytes(),
        );
        let mut stream = self.ground.target.tcp()?;
        stream.set_read_timeout(Some(PATIENCE))?;
        // Who refuses closes while we still write.
        let _ = stream.write_all(&text);
        let (mut said, mut some) = (Vec::new(), [0; 4096]);
        while let Ok(count @ 1..) = stream.read(&mut some) {
            said.extend(some.iter().take(count));
        }
        let _ = stream.shutdown(Shutdown::Both);
        Ok(said)
    }

    fn allowed(&self, request: &str) -> Result<()> {
        let (head, _) = request.split_once("\r\n\r\n").context("no end of its head")?;
        let mut lines = head.split("\r\n");
        let mut line = lines.next().context("no first line")?.split(' ');
        let (method, target, version) = (line.next(), line.next().context("no target")?, line.next());
        ensure!(matches!(method, Some("GET" | "POST")) && version == Some("HTTP/1.1") && line.next().is_none(), "the first line");
        ensure!(target.starts_with('/') && !format!("{target}/").starts_with("/except/"), "the target");
        ensure!(!target.split('?').next().unwrap_or_default().split('/').any(|segment| segment == ".." || segment == "."), "the target");
        let fields: Vec<(&str, &str)> =
            lines.map(|line| line.split_once(": ").with_context(|| format!("the field `{line}`"))).collect::<Result<_>>()?;
        let values =
            |name: &str| fields.iter().filter(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| *value).collect::<Vec<_>>();
        ensure!(values("host") == [self.ground.target.authority()], "its Host: {:?}", values("host"));
        ensure!(values("authorization") == [format!("Bearer {}", self.ground.key)], "its Authorization: {:?}", values("authorization"));
        ensure!(values("content-length").len() + values("transfer-encoding").len() <= 1, "it is framed twice");
        ensure!(values("transfer-encoding").iter().all(|coding| *coding == "chunked"), "its coding");
        for gone in ["x-api-key", "x-http-method-override", "x-original-url", "proxy-authorization", "upgrade", "connection", "trailer"] {
            ensure!(values(gone).is_empty(), "its {gone}");
        }
        ensure!(!target.split(['?', '&']).skip(1).any(|pair| pair.starts_with("access_token=")), "its query");
        ensure!(
            self.ground.oracle.finds(request.replacen(&format!("Bearer {}", self.ground.key), "", 1).as_bytes()).is_empty(),
            "the credential twice"
        );
        Ok(())
    }
}
