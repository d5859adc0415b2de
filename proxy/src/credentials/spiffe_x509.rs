use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use keygress_policy::material::{Material, MaterialKind};
use schemars::JsonSchema;
use serde::Deserialize;
use tokio::sync::watch;

use super::{Fetched, Provider, Purpose, Tools, Work, spiffe};

const METHOD: &str = "FetchX509SVID";

/// How soon the agent is called again after it broke off.
const PAUSE: Duration = Duration::from_secs(5);

/// The X.509-SVID of keygress itself, by the SPIFFE Workload API: a client certificate. The agent rotates it, and keygress follows at once.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SpiffeX509 {
    /// The path of the socket of the agent, such as `/run/spire/sockets/agent.sock`.
    socket: PathBuf,
    /// Which of keygress's identities, where it has several. Default: the first.
    id: Option<String>,
}

impl Provider for SpiffeX509 {
    fn kind(&self) -> &'static str {
        "spiffe_x509"
    }

    fn yields(&self) -> MaterialKind {
        MaterialKind::Certificate
    }

    fn is_static(&self) -> bool {
        false
    }

    fn complaints(&self) -> Vec<(String, String)> {
        spiffe::complaints(&self.socket, self.id.as_ref())
    }

    fn reads(&self) -> Vec<&Path> {
        vec![&self.socket]
    }

    fn fetch<'a>(&'a self, _: &'a Tools, _: &'a Purpose) -> Work<'a, Result<Fetched, String>> {
        Box::pin(async { self.ask().await.map_err(|fault| format!("the SPIFFE Workload API {fault}")) })
    }

    fn watch<'a>(&'a self, changed: &'a watch::Sender<()>) -> Option<Work<'a, ()>> {
        Some(Box::pin(async {
            // The first message of the first call is what the first fetch reads too.
            let mut is_known = true;
            loop {
                if let Ok((mut call, _)) = spiffe::call(&self.socket, METHOD, &[]).await {
                    if !is_known {
                        changed.send_replace(());
                    }
                    while call.next().await.is_ok() {
                        changed.send_replace(());
                    }
                }
                is_known = false;
                tokio::time::sleep(PAUSE).await;
            }
        }))
    }
}

impl SpiffeX509 {
    async fn ask(&self) -> Result<Fetched, String> {
        let (_, answer) = spiffe::call(&self.socket, METHOD, &[]).await?;
        let svid = spiffe::x509_svids(&answer, self.id.as_ref());
        let svid = svid.ok_or_else(|| match &self.id {
            Some(id) => format!("gave no X.509-SVID for `{id}`"),
            None => "gave no X.509-SVID".to_owned(),
        })?;
        let lifetime = Duration::try_from(svid.ends.duration_since(Timestamp::now())).unwrap_or_default();
        if lifetime.is_zero() {
            return Err("gave an X.509-SVID that has expired already".to_owned());
        }
        let material = Material::Certificate { chain: svid.chain, key: svid.key };
        Ok(Fetched { material, lifetime: Some(lifetime), handle: None })
    }
}
