use std::fmt;
use std::sync::Arc;

use hyper::HeaderMap;
use rustls::RootCertStore;
use zeroize::Zeroizing;

use super::http::{Endpoint, Http};

/// A URL of the operator's, called by the same client that calls issuers, with all that it refuses.
pub struct Site {
    http: Http,
    endpoint: Endpoint,
}

impl Site {
    /// `roots` verify it.
    ///
    /// # Errors
    /// What is wrong with the URL, as (message, help).
    pub fn at(url: &str, roots: Arc<RootCertStore>) -> Result<Self, (String, String)> {
        Ok(Self { http: Http::new(roots), endpoint: Endpoint::parse(url)? })
    }

    /// Sends this, and returns when it was taken: answered with a status of success. The body of the answer.
    ///
    /// # Errors
    /// Why it was not; reads on from what the URL is called.
    pub async fn send(&self, headers: HeaderMap, body: Vec<u8>) -> Result<Zeroizing<Vec<u8>>, Untaken> {
        let answer = self.http.post(&self.endpoint, headers, Zeroizing::new(body)).await;
        let answer = answer.map_err(|fault| Untaken { why: fault.to_string(), is_final: false })?;
        if answer.status.is_success() {
            return Ok(answer.body);
        }
        let may_pass = matches!(answer.status.as_u16(), 408 | 429 | 500 | 502..=504);
        Err(Untaken { why: answer.fault(), is_final: !may_pass })
    }

    /// What it answers.
    ///
    /// # Errors
    /// Why it does not; reads on from what the URL is called.
    pub async fn ask(&self) -> Result<Vec<u8>, String> {
        let answer = self.http.get(&self.endpoint, HeaderMap::new()).await.map_err(|fault| fault.to_string())?;
        if answer.status.is_success() { Ok(answer.body.to_vec()) } else { Err(answer.fault()) }
    }
}

/// Why something was not taken.
#[derive(Debug)]
pub struct Untaken {
    why: String,
    /// Whether trying again will not help.
    pub is_final: bool,
}

impl fmt::Display for Untaken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.why)
    }
}
