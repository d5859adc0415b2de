//! What reverse proxies have in common: certificates in a folder, the way in, the credential as text.

use std::net::SocketAddr;

use anyhow::Context;

use super::certificates::Certificates;
use super::{Entry, Site};
use crate::load::Way;
use crate::scenario::Entrance;

/// How a reverse proxy will be asked, with the certificates in its folder that this takes.
pub(super) struct Wanted {
    way: Way,
    trust_pem: String,
}

impl Wanted {
    /// Writes `ca.pem`, which the upstream is verified with, and the leaf where TLS comes in.
    ///
    /// # Errors
    /// Where they cannot be made or written.
    pub(super) fn of(site: &Site<'_>) -> anyhow::Result<Self> {
        std::fs::write(site.folder.join("ca.pem"), &site.upstream.ca_pem)?;
        match site.shape.entrance {
            Entrance::Plain => Ok(Self { way: Way::Origin { prefix: String::new(), host: None }, trust_pem: String::new() }),
            Entrance::Intercept => {
                let certificates = Certificates::new()?;
                certificates.write_leaf(site.folder)?;
                Ok(Self { way: Way::Tls, trust_pem: certificates.ca })
            }
        }
    }

    /// The way in, once it is known where.
    pub(super) fn entry(self, address: SocketAddr) -> Entry {
        Entry { address, way: self.way, trust_pem: self.trust_pem }
    }
}

/// The folder, as it stands in a configuration.
///
/// # Errors
/// Where it is no text.
pub(super) fn folder(site: &Site<'_>) -> anyhow::Result<String> {
    Ok(site.folder.to_str().context("the folder's name is no text")?.to_owned())
}

/// The value of `Authorization`.
pub(super) fn credential(site: &Site<'_>) -> String {
    format!("Bearer {}", site.token)
}
