//! How abnormal reuse is looked for: flags over `proxy.yaml`.

use serde::Deserialize;

use super::{Detect, Invalid, duration};
use crate::detect::SETTLE;

/// The flags of detection.
#[derive(Clone, Debug, Default, clap::Args)]
pub(super) struct DetectFlags {
    /// How long it takes until it is settled what is usual of a credential: something new is an alert from then on. Default: 24h.
    #[arg(long, value_name = "DURATION", env = "KEYGRESS_DETECT_SETTLE")]
    detect_settle: Option<String>,
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
}

impl DetectFlags {
    /// These flags over what the file says.
    ///
    /// # Errors
    /// What cannot be read.
    pub(super) fn over(self, file: DetectFile, unsafe_no_detect: bool) -> Result<Option<Detect>, Invalid> {
        let settle = self.detect_settle.or(file.settle).as_deref().map_or(Ok(SETTLE), duration)?;
        Ok((!self.unsafe_no_detect && !unsafe_no_detect).then_some(Detect { settle }))
    }
}
