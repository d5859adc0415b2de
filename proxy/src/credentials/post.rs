use std::sync::Arc;

use hyper::HeaderMap;
use rustls::RootCertStore;
use zeroize::Zeroizing;

use super::http::{Endpoint, Http};

/// An URL of the operator's to which something is told: by the same client that calls issuers, with all that it refuses.
pub struct Post {
    http: Http,
    endpoint: Endpoint,
}

impl Post {
    /// `roots` verify it.
    ///
    /// # Errors
    /// What is wrong with the URL, as (message, help).
    pub fn to(url: &str, roots: Arc<RootCertStore>) -> Result<Self, (String, String)> {
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
}
