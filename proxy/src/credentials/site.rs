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

    /// Sends this, and returns when it was taken: answered with a status of success.
    ///
    /// # Errors
    /// Why it was not; reads on from what the URL is called.
    pub async fn send(&self, headers: HeaderMap, body: Vec<u8>) -> Result<(), String> {
        let answer = self.http.post(&self.endpoint, headers, Zeroizing::new(body)).await.map_err(|fault| fault.to_string())?;
        if answer.status.is_success() { Ok(()) } else { Err(answer.fault()) }
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
