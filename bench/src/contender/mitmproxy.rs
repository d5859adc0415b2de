//! mitmproxy: in front of one server where requests come in plain, as an intercepting forward proxy where they come in TLS.

use std::process::Command;

use super::{Contender, Entry, Running, Site, program, reverse};
use crate::load::Way;
use crate::scenario::{Entrance, Shape};

/// What is sensible for who holds whole bodies in memory.
const BODY_BYTES_MAX: u64 = 1024 * 1024;

/// mitmproxy.
pub struct Mitmproxy;

impl Contender for Mitmproxy {
    fn name(&self) -> &'static str {
        "mitmproxy"
    }

    fn version(&self) -> String {
        program::version(self.name(), "--version")
    }

    fn can(&self, shape: &Shape) -> Result<(), String> {
        if shape.protocol != shape.upstream {
            return Err("mitmproxy does not translate between HTTP/1.1 and HTTP/2".to_owned());
        }
        if shape.response_bytes.max(shape.request_bytes) > BODY_BYTES_MAX {
            return Err("mitmproxy holds whole bodies in memory".to_owned());
        }
        Ok(())
    }

    fn start(&self, site: &Site<'_>) -> anyhow::Result<Running> {
        let program = program::of(self.name())?;
        std::fs::write(site.folder.join("ca.pem"), &site.upstream.ca_pem)?;
        let folder = reverse::folder(site)?;
        let mode = match site.shape.entrance {
            Entrance::Plain => format!("reverse:https://{}", site.upstream.authority()),
            Entrance::Intercept => "regular".to_owned(),
        };
        let (address, child) = program::listening(site.folder, site.core, |address| {
            let mut command = Command::new(&program);
            command.args(["--quiet", "--mode", &mode, "--listen-host", "127.0.0.1", "--listen-port", &address.port().to_string()]);
            command.args(["--set", &format!("confdir={folder}")]);
            command.args(["--set", &format!("ssl_verify_upstream_trusted_ca={folder}/ca.pem")]);
            command.args(["--modify-headers", &format!("|~q|Authorization|{}", reverse::credential(site))]);
            Ok(command)
        })?;
        let (way, trust_pem) = match site.shape.entrance {
            Entrance::Plain => (Way::Origin { prefix: String::new(), host: None }, String::new()),
            Entrance::Intercept => (Way::Connect, std::fs::read_to_string(site.folder.join("mitmproxy-ca-cert.pem"))?),
        };
        Ok(Running { entry: Entry { address, way, trust_pem }, child })
    }
}
