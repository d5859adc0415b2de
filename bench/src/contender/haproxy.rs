//! HAProxy, a reverse proxy with one thread: `http-request set-header` puts the credential on.

use std::net::SocketAddr;
use std::process::Command;

use super::reverse::{self, Wanted};
use super::{Contender, Running, Site, program, template};
use crate::load::Protocol;
use crate::scenario::{Entrance, Shape};
use crate::upstream::HOST;

const TEMPLATE: &str = include_str!("../../peers/haproxy.cfg");

/// HAProxy.
pub struct HaProxy;

impl Contender for HaProxy {
    fn name(&self) -> &'static str {
        "haproxy"
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
            let file = site.folder.join("haproxy.cfg");
            std::fs::write(&file, configuration(site, address)?)?;
            let mut command = Command::new(&program);
            command.arg("-db").arg("-f").arg(file);
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
        Entrance::Intercept => format!(" ssl crt {folder}/leaf-with-key.pem alpn {}", alpn(site.shape.protocol)),
    };
    template::fill(
        TEMPLATE,
        &[
            ("LISTEN", &address.to_string()),
            ("BIND_OPTIONS", &tls),
            ("ALPN_OUT", alpn(site.shape.upstream)),
            ("FOLDER", &folder),
            ("HOST", HOST),
            ("UPSTREAM", &site.upstream.address.to_string()),
            ("AUTHORITY", &site.upstream.authority()),
            ("CREDENTIAL", &reverse::credential(site)),
        ],
    )
}
