//! How abnormal reuse is looked for: flags over `proxy.yaml`.

use std::path::PathBuf;

use serde::Deserialize;

use super::{Detect, Hook, Invalid, duration};
use crate::detect::SETTLE;

/// The flags of detection.
#[derive(Clone, Debug, Default, clap::Args)]
pub(super) struct DetectFlags {
    /// How long it takes until it is settled what is usual of a credential: something new is an alert from then on. Default: 24h.
    #[arg(long, value_name = "DURATION", env = "KEYGRESS_DETECT_SETTLE")]
    detect_settle: Option<String>,
    /// Send every alert to this URL too, signed: `https`, or `http` on loopback.
    #[arg(long, value_name = "URL", env = "KEYGRESS_ALERT_WEBHOOK")]
    alert_webhook: Option<String>,
    /// The file whose 16 bytes or more sign what is sent there (HMAC-SHA256).
    #[arg(long, value_name = "FILE", env = "KEYGRESS_ALERT_WEBHOOK_SECRET")]
    alert_webhook_secret: Option<PathBuf>,
    /// Look for no abnormal reuse: no alerts, and no responses of the policy.
    #[arg(long, env = "KEYGRESS_UNSAFE_NO_DETECT")]
    unsafe_no_detect: bool,
}

/// `detect:`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct DetectFile {
    /// Such as `24h`.
    settle: Option<String>,
    /// Where alerts are told.
    pub(super) webhook: Option<WebhookFile>,
}

/// `detect: { webhook: … }`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WebhookFile {
    /// `https`, or `http` on loopback.
    url: String,
    /// The file of the secret that signs.
    pub(super) secret: PathBuf,
}

impl DetectFlags {
    /// These flags over what the file says.
    ///
    /// # Errors
    /// What cannot be read.
    pub(super) fn over(self, file: DetectFile, unsafe_no_detect: bool) -> Result<Option<Detect>, Invalid> {
        let settle = self.detect_settle.or(file.settle).as_deref().map_or(Ok(SETTLE), duration)?;
        let (url, secret) = file.webhook.map_or((None, None), |webhook| (Some(webhook.url), Some(webhook.secret)));
        let webhook = match (self.alert_webhook.or(url), self.alert_webhook_secret.or(secret)) {
            (None, None) => None,
            (Some(url), Some(secret)) => Some(Hook { url, secret }),
            (_, _) => {
                let help = "give `--alert-webhook` and `--alert-webhook-secret`, or both under `detect: { webhook: { url, secret } }`";
                return Err(Invalid::with_help("the webhook is incomplete".to_owned(), help));
            }
        };
        Ok((!self.unsafe_no_detect && !unsafe_no_detect).then_some(Detect { settle, webhook }))
    }
}
