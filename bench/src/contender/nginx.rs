//! nginx, a reverse proxy with one worker: `proxy_set_header` puts the credential on.

use std::net::SocketAddr;
use std::process::Command;

use super::reverse::{self, Wanted};
use super::{Contender, Running, Site, program, template};
use crate::load::Protocol;
use crate::scenario::{Entrance, Shape};
use crate::upstream::HOST;

const TEMPLATE: &str = include_str!("../../peers/nginx.conf");

/// nginx.
pub struct Nginx;

impl Contender for Nginx {
    fn name(&self) -> &'static str {
        "nginx"
    }

    fn version(&self) -> String {
        program::version(self.name(), "-v")
    }

    fn can(&self, _: &Shape) -> Result<(), String> {
        Ok(())
    }

    fn start(&self, site: &Site<'_>) -> anyhow::Result<Running> {
        let wanted = Wanted::of(site)?;
        let program = program::of(self.name())?;
        let (address, child) = program::listening(site.folder, site.core, |address| {
            let file = site.folder.join("nginx.conf");
            std::fs::write(&file, configuration(site, address)?)?;
            let mut command = Command::new(&program);
            command.arg("-p").arg(site.folder).arg("-c").arg(file).args(["-e", "stderr"]);
            Ok(command)
        })?;
        Ok(Running { entry: wanted.entry(address), child })
    }
}

fn configuration(site: &Site<'_>, address: SocketAddr) -> anyhow::Result<String> {
    let shape = site.shape;
    let (options, tls) = match (shape.entrance, shape.protocol) {
        (Entrance::Plain, _) => ("", ""),
        (Entrance::Intercept, Protocol::Http1) => (" ssl", TLS),
        (Entrance::Intercept, Protocol::Http2) => (" ssl http2", TLS),
    };
    let user = if rustix::process::geteuid().is_root() { "user root;" } else { "" };
    // Each caller may have a connection to the upstream as well.
    let connections = shape.connections * 2 + 512;
    // Its proxy module speaks HTTP/1.1 to upstreams; HTTP/2 is what its gRPC module speaks, whatever the content.
    let (module, protocol, connection) = match shape.upstream {
        Protocol::Http1 => ("proxy", "proxy_http_version 1.1; proxy_request_buffering off; proxy_max_temp_file_size 0;", "https"),
        Protocol::Http2 => ("grpc", "", "grpcs"),
    };
    template::fill(
        TEMPLATE,
        &[
            ("USER", user),
            ("CONNECTIONS", &connections.to_string()),
            ("LISTEN", &address.to_string()),
            ("LISTEN_OPTIONS", options),
            ("TLS_IN", tls),
            ("MODULE", module),
            ("PROTOCOL_OUT", protocol),
            ("SCHEME", connection),
            ("FOLDER", &reverse::folder(site)?),
            ("HOST", HOST),
            ("UPSTREAM", &site.upstream.address.to_string()),
            ("AUTHORITY", &site.upstream.authority()),
            ("CREDENTIAL", &reverse::credential(site)),
        ],
    )
}

const TLS: &str = "        ssl_certificate leaf.pem;
        ssl_certificate_key leaf.key;
        ssl_protocols TLSv1.3;
        ssl_session_cache shared:sessions:10m;
";
