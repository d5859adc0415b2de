//! The floor: `bench/src/bin/floor`, a forwarder on epoll and rustls that puts one header on, and does nothing else.

use std::path::PathBuf;
use std::process::Command;

use super::reverse::{self, Wanted};
use super::{Contender, Running, Site, program};
use crate::load::Protocol;
use crate::scenario::{Entrance, Shape};

/// What is sensible for who knows no back pressure.
const BODY_BYTES_MAX: u64 = 1024 * 1024;

/// The floor.
#[derive(Debug, Default)]
pub struct Floor {
    /// Its program; `None`: `keygress-bench-floor` beside this one or on the path.
    pub program: Option<PathBuf>,
}

impl Contender for Floor {
    fn name(&self) -> &'static str {
        "floor"
    }

    fn version(&self) -> String {
        env!("CARGO_PKG_VERSION").to_owned()
    }

    fn can(&self, shape: &Shape) -> Result<(), String> {
        if shape.response_bytes.max(shape.request_bytes) > BODY_BYTES_MAX {
            return Err("the floor reads as fast as it can, and holds in memory what is not written yet".to_owned());
        }
        match (shape.protocol, shape.upstream) {
            (Protocol::Http1, Protocol::Http1) => Ok(()),
            _ => Err("the floor does not speak HTTP/2".to_owned()),
        }
    }

    fn start(&self, site: &Site<'_>) -> anyhow::Result<Running> {
        let wanted = Wanted::of(site)?;
        let program = self.program.clone().map_or_else(|| program::of(self.name()), Ok)?;
        let (address, child) = program::listening(site.folder, site.core, |address| {
            let mut command = Command::new(&program);
            command.arg(address.to_string()).arg(site.upstream.authority()).arg(site.upstream.address.to_string());
            command.arg(site.folder.join("ca.pem")).arg(reverse::credential(site));
            if site.shape.entrance == Entrance::Intercept {
                command.arg(site.folder.join("leaf.pem")).arg(site.folder.join("leaf.key"));
            }
            Ok(command)
        })?;
        Ok(Running { entry: wanted.entry(address), child })
    }
}
