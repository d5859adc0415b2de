//! Envoy, a reverse proxy with one worker: its `credential_injector` puts the credential on.

use std::net::SocketAddr;
use std::process::Command;

use super::reverse::{self, Wanted};
use super::{Contender, Running, Site, program, template};
use crate::load::Protocol;
use crate::scenario::{Entrance, Shape};
use crate::upstream::HOST;

const TEMPLATE: &str = include_str!("../../peers/envoy.yaml");

/// Envoy.
pub struct Envoy;

impl Contender for Envoy {
    fn name(&self) -> &'static str {
        "envoy"
    }

    fn version(&self) -> String {
        program::version(self.name(), "--version")
    }

    fn can(&self, _: &Shape) -> Result<(), String> {
        Ok(())
    }

    fn start(&self, site: &Site<'_>) -> anyhow::Result<Running> {
        let wanted = Wanted::of(site)?;
        let program = program::of(self.name())?;
        let (address, child) = program::listening(site.folder, site.core, |address| {
            let file = site.folder.join("envoy.yaml");
            std::fs::write(&file, configuration(site, address)?)?;
            let mut command = Command::new(&program);
            command.arg("-c").arg(file).args(["--concurrency", "1", "--disable-hot-restart", "--log-level", "error"]);
            Ok(command)
        })?;
        Ok(Running { entry: wanted.entry(address), child })
    }
}

fn configuration(site: &Site<'_>, address: SocketAddr) -> anyhow::Result<String> {
    let folder = reverse::folder(site)?;
    let alpn = |protocol| match protocol {
        Protocol::Http1 => "http/1.1",
        Protocol::Http2 => "h2",
    };
    let tls = match site.shape.entrance {
        Entrance::Plain => String::new(),
        Entrance::Intercept => template::fill(TLS, &[("FOLDER", &folder), ("ALPN_IN", alpn(site.shape.protocol))])?,
    };
    let protocol_out = match site.shape.upstream {
        Protocol::Http1 => "http_protocol_options",
        Protocol::Http2 => "http2_protocol_options",
    };
    template::fill(
        TEMPLATE,
        &[
            ("LISTEN_PORT", &address.port().to_string()),
            ("TLS_IN", &tls),
            ("PROTOCOL_OUT", protocol_out),
            ("ALPN_OUT", alpn(site.shape.upstream)),
            ("FOLDER", &folder),
            ("HOST", HOST),
            ("UPSTREAM_PORT", &site.upstream.address.port().to_string()),
            ("AUTHORITY", &site.upstream.authority()),
            ("CREDENTIAL", &reverse::credential(site)),
        ],
    )
}

const TLS: &str = r#"          transport_socket:
            name: envoy.transport_sockets.tls
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext
              common_tls_context:
                alpn_protocols: ["@ALPN_IN@"]
                tls_params: { tls_minimum_protocol_version: TLSv1_3, tls_maximum_protocol_version: TLSv1_3 }
                tls_certificates:
                  - { certificate_chain: { filename: @FOLDER@/leaf.pem }, private_key: { filename: @FOLDER@/leaf.key } }
"#;
