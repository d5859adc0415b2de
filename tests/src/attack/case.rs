//! What one attack is, and what must come of it.

use std::fmt;

use anyhow::{Result, ensure};

use super::way::{Answer, Request, Way};
use super::wire::Target;
use super::{h1, h2};

/// One attack.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// Its name, which stays: SECURITY.md refers to it.
    pub name: &'static str,
    /// What is tried.
    pub attack: &'static str,
    /// What is written.
    pub written: Written,
    /// What must come of it.
    pub expect: Expect,
    /// What must come of it by these ways instead.
    pub but: &'static [(Way, Expect)],
}

/// What an attack writes. In every text `{}` stands for the authority of the upstream.
#[derive(Clone, Copy, Debug)]
pub enum Written {
    /// A request that can be written by every way.
    Asked(Asked),
    /// HTTP/1.1 as it stands: `{target}` is what comes before the path by each way, `{host}` the Host that agrees.
    Raw(&'static str),
    /// A `CONNECT` as it stands, and what follows it; by the TCP listener alone.
    Connect(&'static str),
    /// The first bytes of a captured connection as they stand.
    Captured(&'static str),
    /// Fields of HTTP/2 as they stand, and a body.
    H2(&'static [(&'static str, &'static str)], Option<&'static str>),
}

/// A [`Request`] that can stand in a table.
#[derive(Clone, Copy, Debug)]
pub struct Asked {
    /// Method.
    pub method: &'static str,
    /// What the target, or `:authority`, names.
    pub authority: &'static str,
    /// The Host fields; `None`: one that agrees.
    pub hosts: Option<&'static [&'static str]>,
    /// Path and query.
    pub path: &'static str,
    /// Further fields.
    pub headers: &'static [(&'static str, &'static str)],
    /// The body.
    pub body: Option<&'static str>,
}

impl Asked {
    /// `GET /hello` of the upstream.
    pub const GET: Self = Self { method: "GET", authority: "{}", hosts: None, path: "/hello", headers: &[], body: None };

    /// `POST /mirror` of the upstream.
    pub const POST: Self = Self { method: "POST", path: "/mirror", body: Some("hello"), ..Self::GET };

    fn request(&self) -> Request {
        Request {
            method: self.method.to_owned(),
            authority: self.authority.to_owned(),
            hosts: self.hosts.map(|hosts| hosts.iter().map(ToString::to_string).collect()),
            path: self.path.to_owned(),
            headers: self.headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            body: self.body.map(|body| body.as_bytes().to_vec()),
        }
    }
}

/// What must come of an attack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// Refused with this status and code; one record of a denial holds the code. Nothing reaches any upstream.
    Refused(u16, &'static str),
    /// Refused by the protocol itself, before it is a request: this status, or no answer at all where it is 0.
    Rejected(u16),
    /// The connection ends without an answer that could be read; one record of a denial holds the code. Nothing reaches any upstream.
    Ended(&'static str),
    /// Carried, since it is harmless once written anew; these texts never arrive.
    Carried(&'static [&'static str]),
    /// It cannot be written by this way.
    Unwritable,
}

impl fmt::Display for Expect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(status, code) => write!(f, "{status} {code}"),
            Self::Ended(code) => write!(f, "{code}, and the connection ends"),
            Self::Rejected(0) => f.write_str("the stream or connection ends"),
            Self::Rejected(status) => write!(f, "{status} by the protocol"),
            Self::Carried(_) => f.write_str("carried, written anew"),
            Self::Unwritable => f.write_str("not by this way"),
        }
    }
}

impl Case {
    /// What must come of it by this way.
    #[must_use]
    pub fn expected(&self, way: Way) -> Expect {
        let said = |way: Way| self.but.iter().find(|(but, _)| *but == way).map(|(_, expect)| *expect);
        if let Some(expect) = said(way).or_else(|| said(way.inside())) {
            return expect;
        }
        let writable = match self.written {
            Written::Asked(_) => true,
            Written::Raw(_) => !way.is_h2(),
            Written::Connect(_) => way == Way::Absolute,
            Written::Captured(_) => way == Way::CapturedH1,
            Written::H2(..) => way.is_h2(),
        };
        if writable { self.expect } else { Expect::Unwritable }
    }

    /// Tries it by one way.
    ///
    /// # Errors
    /// Where nothing comes back for too long, or the proxy cannot be reached.
    pub fn attempt(&self, target: &Target, way: Way) -> Result<Answer> {
        match self.written {
            Written::Asked(asked) => target.ask(way, &asked.request()),
            Written::Raw(text) => target.say(way, &h1::fill(target, way, text)),
            Written::Connect(text) => target.say(way, &h1::fill(target, way, text)),
            Written::Captured(text) => h1::converse(&mut target.captured()?, target.fill(text).as_bytes()),
            Written::H2(fields, body) => {
                let fields: Vec<_> = fields.iter().map(|(name, value)| ((*name).to_owned(), target.fill(value))).collect();
                h2::Connection::open(target, way)?.say(&fields, body.map(str::as_bytes))
            }
        }
    }

    /// Fails unless this is the answer that must come.
    ///
    /// # Errors
    /// With what came instead.
    pub fn judge(&self, way: Way, answer: &Answer) -> Result<()> {
        let expect = self.expected(way);
        let what = || format!("`{}` by {way}: {} was expected, not {} {}", self.name, expect, answer.status, answer.code);
        match expect {
            Expect::Refused(status, code) => {
                ensure!(answer.status == status && answer.code == code, "{}\n{}", what(), answer.text());
                ensure!(
                    answer.answers == 1,
                    "`{}` by {way}: {} answers, so what followed was read as a request",
                    self.name,
                    answer.answers
                );
            }
            Expect::Rejected(status) => {
                ensure!(answer.status == status && answer.code.is_empty(), "{}\n{}", what(), answer.text());
                ensure!(
                    answer.answers <= 1,
                    "`{}` by {way}: {} answers, so what followed was read as a request",
                    self.name,
                    answer.answers
                );
            }
            Expect::Ended(_) => ensure!(answer.status == 0, "{}\n{}", what(), answer.text()),
            Expect::Carried(_) => ensure!((200..300).contains(&answer.status) && answer.answers == 1, "{}\n{}", what(), answer.text()),
            Expect::Unwritable => {}
        }
        Ok(())
    }
}
