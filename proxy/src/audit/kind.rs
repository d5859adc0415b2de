/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A provider issued material: a lease begins.
    Issued,
    /// A credential is about to leave: in a strict audit this is on the disk before its first byte goes.
    Intended,
    /// A request was sent, with or without a credential.
    Used,
    /// An answer held the credential, which was masked, or could not be searched to its end.
    Scrubbed,
    /// A request was refused.
    Denied,
    /// A lease was revoked.
    Revoked,
    /// Its revocation failed.
    RevokeFailed,
    /// A lease expired.
    Expired,
    /// A policy came into force.
    PolicyLoaded,
    /// A policy was rejected; the last good one stays.
    PolicyRejected,
    /// Somebody suspended or revoked something: the code says which.
    Stopped,
    /// Somebody lifted that again.
    Resumed,
    /// Somebody opened a task on the admin socket.
    TaskOpened,
    /// It was closed, or its deadline passed: the code says which.
    TaskClosed,
    /// A running request, stream or tunnel was ended: what it concerns was stopped, its task ended, or it left the policy.
    Ended,
    /// Abnormal reuse.
    Alert,
    /// Somebody had it forgotten what is usual.
    BaselineReset,
    /// A process began to write this file.
    Opened,
    /// What an earlier process left behind was repaired (a torn line was cut, or it never said that it closed), or a sink that
    /// refused takes records again.
    Recovered,
    /// Events were lost: [`super::Event::lost`] says how many.
    Gap,
    /// A signature over everything before it.
    Checkpoint,
    /// A process ended and had written everything.
    Closed,
}

impl Kind {
    /// What somebody should look at.
    pub const TROUBLING: [Self; 4] = [Self::Alert, Self::Gap, Self::RevokeFailed, Self::PolicyRejected];

    /// The value of `activity` in a record.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Issued => "issued",
            Self::Intended => "intended",
            Self::Used => "used",
            Self::Scrubbed => "scrubbed",
            Self::Denied => "denied",
            Self::Revoked => "revoked",
            Self::RevokeFailed => "revoke_failed",
            Self::Expired => "expired",
            Self::PolicyLoaded => "policy_loaded",
            Self::PolicyRejected => "policy_rejected",
            Self::Stopped => "stopped",
            Self::Resumed => "resumed",
            Self::TaskOpened => "task_opened",
            Self::TaskClosed => "task_closed",
            Self::Ended => "ended",
            Self::Alert => "alert",
            Self::BaselineReset => "baseline_reset",
            Self::Opened => "opened",
            Self::Recovered => "recovered",
            Self::Gap => "gap",
            Self::Checkpoint => "checkpoint",
            Self::Closed => "closed",
        }
    }
}
