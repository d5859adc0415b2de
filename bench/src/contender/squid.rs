//! squid: in front of one server where requests come in plain, as an intercepting forward proxy where they come in TLS.

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};

use super::certificates::Certificates;
use super::{Contender, Entry, Running, Site, program, reverse, template};
use crate::load::{Protocol, Way};
use crate::scenario::{Entrance, Shape};
use crate::upstream::HOST;

const TEMPLATE: &str = include_str!("../../peers/squid.conf");

/// What mints leaves for squid.
const CERTIFICATE_HELPER: &str = "/usr/lib/squid/security_file_certgen";

/// squid.
pub struct Squid;

impl Contender for Squid {
    fn name(&self) -> &'static str {
        "squid"
    }

    fn version(&self) -> String {
        program::version(self.name(), "-v")
    }

    fn can(&self, shape: &Shape) -> Result<(), String> {
        match (shape.protocol, shape.upstream) {
            (Protocol::Http1, Protocol::Http1) => Ok(()),
            _ => Err("squid does not speak HTTP/2".to_owned()),
        }
    }

    fn start(&self, site: &Site<'_>) -> anyhow::Result<Running> {
        let program = program::of(self.name())?;
        let folder = open_to_all(site.folder)?;
        std::fs::write(folder.join("ca.pem"), &site.upstream.ca_pem)?;
        let certificates = Certificates::new()?;
        let (way, trust_pem) = match site.shape.entrance {
            Entrance::Plain => (Way::Origin { prefix: String::new(), host: None }, String::new()),
            Entrance::Intercept => {
                std::fs::write(folder.join("minting.pem"), &certificates.ca_with_key)?;
                certificate_store(&folder)?;
                (Way::Connect, certificates.ca)
            }
        };
        let (address, child) = program::listening(&folder, site.core, |address| {
            let file = folder.join("squid.conf");
            std::fs::write(&file, configuration(site, &folder, address)?)?;
            let mut command = Command::new(&program);
            command.args(["-N", "-d", "1", "-f"]).arg(file);
            Ok(command)
        })?;
        Ok(Running { entry: Entry { address, way, trust_pem }, child })
    }
}

/// squid gives up being root before it reads its helper's store.
fn open_to_all(folder: &Path) -> anyhow::Result<PathBuf> {
    std::fs::set_permissions(folder, PermissionsExt::from_mode(0o755))?;
    Ok(folder.to_path_buf())
}

fn certificate_store(folder: &Path) -> anyhow::Result<()> {
    let store = folder.join("certificates");
    let made = Command::new(CERTIFICATE_HELPER).args(["-c", "-s"]).arg(&store).args(["-M", "4MB"]).output().context(CERTIFICATE_HELPER)?;
    ensure!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr).trim());
    if rustix::process::geteuid().is_root() {
        let handed = Command::new("chown").args(["-R", "proxy"]).arg(&store).status().context("chown")?;
        ensure!(handed.success(), "chown: {handed}");
    }
    Ok(())
}

fn configuration(site: &Site<'_>, folder: &Path, address: SocketAddr) -> anyhow::Result<String> {
    let folder = folder.to_str().context("the folder's name is no text")?;
    let words: &[(&str, &str)] = &[
        ("LISTEN", &address.to_string()),
        ("FOLDER", folder),
        ("HOST", HOST),
        ("AUTHORITY", &site.upstream.authority()),
        ("UPSTREAM_IP", &site.upstream.address.ip().to_string()),
        ("UPSTREAM_PORT", &site.upstream.address.port().to_string()),
        ("HELPER", CERTIFICATE_HELPER),
        ("FILES", &program::files_max().to_string()),
        ("CREDENTIAL", &reverse::credential(site)),
    ];
    let way_in = template::fill(if site.shape.entrance == Entrance::Plain { IN_FRONT } else { INTERCEPTING }, words)?;
    template::fill(TEMPLATE, &[words, &[("WAY_IN", &way_in)]].concat())
}

const IN_FRONT: &str = "http_port @LISTEN@ accel defaultsite=@AUTHORITY@ no-vhost
cache_peer @UPSTREAM_IP@ parent @UPSTREAM_PORT@ 0 no-query no-digest originserver name=api tls sslcafile=@FOLDER@/ca.pem ssldomain=@HOST@
cache_peer_access api allow all
never_direct allow all";

const INTERCEPTING: &str =
    "http_port @LISTEN@ ssl-bump cert=@FOLDER@/minting.pem generate-host-certificates=on dynamic_cert_mem_cache_size=4MB
sslcrtd_program @HELPER@ -s @FOLDER@/certificates -M 4MB
sslcrtd_children 1 startup=1
tls_outgoing_options cafile=@FOLDER@/ca.pem
ssl_bump bump all
always_direct allow all";
