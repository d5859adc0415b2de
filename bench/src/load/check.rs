//! Whether a response is right. One that is not is an error of its own kind, whatever its latency.

use std::fmt;

use http::{Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};

use super::Expected;
use crate::upstream::{NOTHING, SAW};

/// What went wrong with one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Wrong {
    /// No connection.
    Connect(std::io::ErrorKind),
    /// No TLS on it.
    Handshake,
    /// The proxy answered the `CONNECT` with this.
    ConnectRefused(u16),
    /// The connection ended before the response did.
    BrokeOff,
    /// It took longer than the plan's patience.
    TimedOut,
    /// The response has this status.
    Status(u16),
    /// The body of the response is longer or shorter than it should be.
    Length,
    /// The upstream saw another credential.
    WrongCredential,
    /// The upstream saw no credential.
    NoCredential,
    /// The response does not say what the upstream saw.
    Unproven,
    /// A field of the response is missing or has another value.
    Field,
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect(kind) => write!(f, "no connection: {kind}"),
            Self::Handshake => f.write_str("tls handshake"),
            Self::ConnectRefused(status) => write!(f, "connect answered {status}"),
            Self::BrokeOff => f.write_str("broke off"),
            Self::TimedOut => f.write_str("timed out"),
            Self::Status(status) => write!(f, "status {status}"),
            Self::Length => f.write_str("wrong length"),
            Self::WrongCredential => f.write_str("wrong credential"),
            Self::NoCredential => f.write_str("no credential"),
            Self::Unproven => f.write_str("no word of the credential"),
            Self::Field => f.write_str("wrong field"),
        }
    }
}

impl Expected {
    /// What is wrong with the head of a response.
    pub(super) fn head<B>(&self, response: &Response<B>) -> Result<(), Wrong> {
        if response.status() != self.status {
            return Err(Wrong::Status(response.status().as_u16()));
        }
        if let Some((name, value)) = &self.field
            && response.headers().get(name) != Some(value)
        {
            return Err(Wrong::Field);
        }
        let Some(digests) = &self.saw else { return Ok(()) };
        let mut said = response.headers().get_all(SAW).iter();
        match (said.next(), said.next()) {
            (Some(saw), None) if saw.to_str().is_ok_and(|saw| digests.contains(saw)) => Ok(()),
            (Some(saw), None) if saw == NOTHING => Err(Wrong::NoCredential),
            (Some(_), None) => Err(Wrong::WrongCredential),
            (_, _) => Err(Wrong::Unproven),
        }
    }

    /// What is wrong with the length of its body.
    pub(super) fn length(&self, bytes: u64) -> Result<(), Wrong> {
        match self.response_bytes {
            Some(expected) if expected != bytes => Err(Wrong::Length),
            Some(_) | None => Ok(()),
        }
    }

    /// Reads a response to its end; how long its body was.
    pub(super) async fn read(&self, response: Response<Incoming>) -> Result<u64, Wrong> {
        let head = self.head(&response);
        let mut body = response.into_body();
        let mut bytes = 0;
        while !body.is_end_stream() {
            let Some(frame) = body.frame().await else { break };
            let frame = frame.map_err(|_| Wrong::BrokeOff)?;
            bytes += frame.data_ref().map_or(0, |data| data.len() as u64);
        }
        // A response that is refused is read all the same: the connection goes on.
        head?;
        self.length(bytes)?;
        Ok(bytes)
    }
}

impl Default for Expected {
    fn default() -> Self {
        Self { status: StatusCode::OK, response_bytes: None, saw: None, field: None }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::sync::Arc;

    use super::*;
    use crate::upstream::digest;

    fn expected() -> Expected {
        Expected { saw: Some(Arc::new(HashSet::from([digest(b"Bearer right")]))), response_bytes: Some(200), ..Expected::default() }
    }

    fn said(saw: &[&str]) -> Response<()> {
        let mut response = Response::new(());
        for saw in saw {
            response.headers_mut().append(SAW, saw.parse().unwrap());
        }
        response
    }

    #[test]
    fn only_the_right_credential_is_right() {
        assert_eq!(expected().head(&said(&[&digest(b"Bearer right")])), Ok(()));
        assert_eq!(expected().head(&said(&[&digest(b"Bearer wrong")])), Err(Wrong::WrongCredential));
        assert_eq!(expected().head(&said(&["none"])), Err(Wrong::NoCredential));
        assert_eq!(expected().head(&said(&[])), Err(Wrong::Unproven));
        let right = digest(b"Bearer right");
        assert_eq!(expected().head(&said(&[&right, &right])), Err(Wrong::Unproven), "two answers are none");
        assert_eq!(Expected { saw: None, ..expected() }.head(&said(&[])), Ok(()));
    }

    #[test]
    fn a_field_is_held_where_one_is_named() {
        let expected = Expected { saw: None, field: Some((SAW.parse().unwrap(), "7".parse().unwrap())), ..expected() };
        assert_eq!(expected.head(&said(&["7"])), Ok(()));
        assert_eq!((expected.head(&said(&["8"])), expected.head(&said(&[]))), (Err(Wrong::Field), Err(Wrong::Field)));
    }

    #[test]
    fn status_and_length_are_held() {
        let mut response = said(&[&digest(b"Bearer right")]);
        *response.status_mut() = StatusCode::FORBIDDEN;
        assert_eq!(expected().head(&response), Err(Wrong::Status(403)));
        assert_eq!(
            (expected().length(200), expected().length(199), expected().length(0)),
            (Ok(()), Err(Wrong::Length), Err(Wrong::Length))
        );
    }
}
