//! The ways in, and what is asked by each.

use std::fmt;

/// How a request reaches the proxy. All of them end in the same exchange, so the same attack must come to the same end by each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Way {
    /// Absolute-form on the TCP listener.
    Absolute,
    /// `CONNECT`, then HTTP/1.1 inside TLS.
    ConnectH1,
    /// `CONNECT`, then HTTP/2 inside TLS.
    ConnectH2,
    /// A base-URL route on the TCP listener.
    Route,
    /// Absolute-form on the Unix socket.
    Unix,
    /// A connection that the kernel captured, and HTTP/1.1 inside TLS.
    CapturedH1,
    /// A connection that the kernel captured, and HTTP/2 inside TLS.
    CapturedH2,
}

impl Way {
    /// Every way in.
    ///
    /// What stands inside TLS is the same by a captured connection as by a `CONNECT`, and so is what must come of it. Three things cannot
    /// be written there. What only a proxy is told (absolute-form, `CONNECT`, routes) is told to nobody: as the first words of a captured
    /// connection it is refused, by [`cases::captured`](super::cases::captured). Nobody chooses a destination before TLS begins but by
    /// the server name, which the tests of destinations do. And no token is shown: see [`Way::TOKEN`].
    pub const ALL: [Self; 7] =
        [Self::Absolute, Self::ConnectH1, Self::ConnectH2, Self::Route, Self::Unix, Self::CapturedH1, Self::CapturedH2];

    /// The ways on which an HTTP/1.1 request is written by hand.
    pub const H1: [Self; 5] = [Self::Absolute, Self::ConnectH1, Self::Route, Self::Unix, Self::CapturedH1];

    /// The ways on which a task shows its token. A client whose connection is captured knows of no proxy to which it could show one, and
    /// what it says inside TLS is for the upstream: who it is, the kernel says.
    pub const TOKEN: [Self; 5] = [Self::Absolute, Self::ConnectH1, Self::ConnectH2, Self::Route, Self::Unix];

    /// Whether it is HTTP/2.
    #[must_use]
    pub fn is_h2(self) -> bool {
        self.inside() == Self::ConnectH2
    }

    /// A captured connection counts as the `CONNECT` that it stands for, any other way as itself.
    #[must_use]
    pub fn inside(self) -> Self {
        match self {
            Self::CapturedH1 => Self::ConnectH1,
            Self::CapturedH2 => Self::ConnectH2,
            Self::Absolute | Self::ConnectH1 | Self::ConnectH2 | Self::Route | Self::Unix => self,
        }
    }

    /// The word that the audit has for it.
    #[must_use]
    pub fn recorded(self) -> &'static str {
        match self {
            Self::Absolute | Self::Route | Self::Unix => "forward",
            Self::ConnectH1 | Self::ConnectH2 => "intercept",
            Self::CapturedH1 | Self::CapturedH2 => "transparent",
        }
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Absolute => "absolute-form",
            Self::ConnectH1 => "CONNECT, HTTP/1.1",
            Self::ConnectH2 => "CONNECT, HTTP/2",
            Self::Route => "route",
            Self::Unix => "Unix socket",
            Self::CapturedH1 => "captured, HTTP/1.1",
            Self::CapturedH2 => "captured, HTTP/2",
        })
    }
}

/// A request before it is written. In every text `{}` stands for the authority of the upstream.
#[derive(Clone, Debug)]
pub struct Request {
    /// Method, as written.
    pub method: String,
    /// What the target, or `:authority`, names.
    pub authority: String,
    /// The Host fields; `None`: one that agrees.
    pub hosts: Option<Vec<String>>,
    /// Path and query, as written.
    pub path: String,
    /// Further fields.
    pub headers: Vec<(String, String)>,
    /// The body, with its length.
    pub body: Option<Vec<u8>>,
}

impl Request {
    /// `GET` of a path of the upstream.
    #[must_use]
    pub fn get(path: &str) -> Self {
        Self { method: "GET".to_owned(), authority: "{}".to_owned(), hosts: None, path: path.to_owned(), headers: Vec::new(), body: None }
    }

    /// `POST` of this body.
    #[must_use]
    pub fn post(path: &str, body: &[u8]) -> Self {
        Self { method: "POST".to_owned(), body: Some(body.to_vec()), ..Self::get(path) }
    }

    /// With one more field.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }
}

/// What came back.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    /// Status; 0 where the connection or stream ended without one.
    pub status: u16,
    /// The code of a refusal; empty where there is none.
    pub code: String,
    /// Header fields, and the trailers behind them.
    pub fields: Vec<(String, String)>,
    /// The body, its transfer coding taken off.
    pub body: Vec<u8>,
    /// Every byte that came, TLS taken off; of HTTP/2 the payloads, header blocks decoded.
    pub raw: Vec<u8>,
    /// How many answers came on the connection.
    pub answers: usize,
}

impl Answer {
    /// The values of a field.
    #[must_use]
    pub fn values(&self, name: &str) -> Vec<&str> {
        self.fields.iter().filter(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str()).collect()
    }

    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}
