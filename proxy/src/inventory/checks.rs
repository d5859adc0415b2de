use serde::Serialize;

/// How much a finding matters; the worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Somebody should act now.
    High,
    /// Somebody should act.
    Medium,
    /// Somebody should know.
    Low,
}

impl Severity {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::High => "high",
            Self::Medium => "medium",
            Self::Low => "low",
        }
    }
}

/// Something that somebody should look at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The check, by its id in [`CHECKS`].
    pub check: &'static str,
    /// How much it matters.
    pub severity: Severity,
    /// `credential NAME` or `rule NAME`.
    pub subject: String,
    /// What is so.
    pub message: String,
    /// What to do.
    pub help: String,
    /// File of the policy.
    pub file: Option<String>,
    /// Line in it, from 1.
    pub line: Option<usize>,
}

/// One check: what it is made of, and what it does not show.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Check {
    /// Stable id.
    pub id: &'static str,
    /// What must not be, in one line.
    pub title: &'static str,
    /// What its result shows.
    pub proves: &'static str,
    /// What its result does not show.
    pub does_not_prove: &'static str,
    /// Whether it needs an audit.
    pub needs_audit: bool,
    /// The controls that it answers to, by their ids in the report.
    pub controls: &'static [&'static str],
}

const POLICY_ONLY: &str = "that the key is nowhere else: keygress knows what its policy names";
const AUDIT_ONLY: &str = "what was done past keygress, before the audit begins, or as another workload: a caller who is several is on record as the first by name";

macro_rules! check {
    ($id:literal, $title:literal, $proves:literal, $not:expr, $audit:literal, [$($control:literal),*]) => {
        Check { id: $id, title: $title, proves: $proves, does_not_prove: $not, needs_audit: $audit, controls: &[$($control),*] }
    };
}

/// Every check, in the order of a report.
#[rustfmt::skip]
pub const CHECKS: &[Check] = &[
    check!("owner_missing", "a credential whose owner is nobody", "that every credential names an owner", "that the owner still works here, or knows of it", false,
        ["NHI1", "GV.RR-02", "GOVERN 2.1", "MAESTRO 6"]),
    check!("static_expired", "a static key past its last day", "that no static key is past the day that its owner set; keygress loads no such policy", "that the vendor ends the key on that day", false,
        ["NHI7", "PR.AA-01", "GOVERN 1.7", "MAESTRO 4"]),
    check!("static_expires_soon", "a static key that expires within 14 days", "which keys must be rotated now", "that the vendor ends the key on that day", false,
        ["NHI7", "PR.AA-01", "GOVERN 1.5", "MAESTRO 4"]),
    check!("static_long", "a static key that is to live for more than a year", "how long each static key may be used", POLICY_ONLY, false,
        ["NHI7", "PR.AA-01", "GOVERN 1.5", "MAESTRO 4"]),
    check!("never_expires", "material without an end from a provider that is not static", "which credentials were issued without an end", AUDIT_ONLY, true,
        ["NHI7", "PR.AA-01", "MAESTRO 4"]),
    check!("federate", "a static key where the platform gives out short-lived credentials", "where the destination is a platform that federates", "that your account there is set up for it", false,
        ["NHI4", "NHI7", "PR.AA-03", "MAESTRO 4"]),
    check!("development_source", "a key that stands in an environment variable", "which credentials come from a variable", POLICY_ONLY, false,
        ["NHI2", "NHI4", "PR.AA-01", "MAESTRO 4"]),
    check!("stage_crossed", "a credential that a workload of another stage or tenant may spend", "that labelled workloads reach credentials of their own stage and tenant alone", "anything of workloads and credentials without these labels", false,
        ["NHI8", "PR.AA-05", "GOVERN 1.4", "MAESTRO 4", "MAESTRO 7"]),
    check!("shared", "one credential for workloads of several stages, tenants or teams", "which credentials serve several of them", "anything of workloads without labels", false,
        ["NHI8", "NHI9", "PR.AA-05", "MAESTRO 7"]),
    check!("one_key_twice", "one static key under two names", "that no two static credentials read the same source", "that two sources do not hold the same key: `same_value` sees that in use", false,
        ["NHI9", "PR.AA-01", "MAESTRO 7"]),
    check!("same_value", "two credentials with the same value", "that no two credentials had the same value, by keyed fingerprint, in processes that share a state folder or in one", "the same of processes without a common state folder: each has a fingerprint key of its own", true,
        ["NHI9", "NHI8", "PR.AA-01", "MAESTRO 7"]),
    check!("anyone", "a credential that every caller may spend", "that every rule with a credential names its callers", "that the named callers are the right ones", false,
        ["NHI5", "NHI9", "PR.AA-05", "GOVERN 1.4", "MAESTRO 3", "MAESTRO 7"]),
    check!("everything", "a rule that lets a credential do everything at a host", "that no rule with a credential allows every method on every path", "what the credential may do at the vendor", false,
        ["NHI5", "PR.AA-05", "GOVERN 1.4", "MAESTRO 3"]),
    check!("weakened", "a rule with a credential that weakens its protection", "which rules say `unsafe_plaintext` or `unsafe_unscrubbed_body`", "that the destination does not repeat the key", false,
        ["NHI2", "NHI4", "PR.DS-02", "MAESTRO 4"]),
    check!("unlabelled", "a static key without a `stage`", "which keys the checks of stages cannot see", "anything of the keys themselves", false,
        ["NHI8", "PR.AA-01", "GOVERN 1.6"]),
    check!("unused_credential", "a credential that nobody used", "that it was not used for so long", AUDIT_ONLY, true,
        ["NHI1", "NHI5", "ID.AM-08", "PR.AA-05", "GOVERN 1.7", "MAESTRO 6"]),
    check!("unused_rule", "a rule with a credential that nobody used", "that no request was recorded under it for so long", AUDIT_ONLY, true,
        ["NHI5", "PR.AA-05", "GOVERN 1.5", "MAESTRO 6"]),
    check!("unused_entry", "an entry of `allow` that no request met", "that what is allowed there was not asked for", AUDIT_ONLY, true,
        ["NHI5", "PR.AA-05", "GOVERN 1.5", "MAESTRO 6"]),
    check!("unused_workload", "a workload that may spend a credential and never does", "that it did not call under that rule for so long", AUDIT_ONLY, true,
        ["NHI5", "PR.AA-05", "GOVERN 1.5", "MAESTRO 6"]),
    check!("left_policy", "a lease of a credential that is no longer in the policy", "that what was issued ended with its credential", "that the issuer honours revocation", true,
        ["NHI1", "PR.AA-01", "GOVERN 1.7", "MAESTRO 6"]),
    check!("revoke_failed", "revocations that failed", "how many revocations the issuers refused", AUDIT_ONLY, true,
        ["NHI1", "RS.MI-01", "GOVERN 1.7", "MAESTRO 6"]),
    check!("records_lost", "events that are not on record", "that the audit has no gap that keygress knows of", "that nobody cut its end: compare it with a copy elsewhere, and run `keygress audit verify`", true,
        ["PR.PS-04", "DE.CM-09", "GOVERN 1.5", "MAESTRO 5"]),
    check!("outside_proxy", "a key that lies where an application or a person can read it", "that no key of a known shape lies in what `keygress scan` searched, on the day of its report", "that none lies elsewhere, in the history of a repository, in binary files, or in a shape that keygress does not know", false,
        ["NHI2", "NHI7", "PR.AA-01", "DE.CM-09", "GOVERN 1.6", "MAESTRO 4"]),
];

/// The check that takes the report of a scan.
pub const OUTSIDE: &str = "outside_proxy";

/// The check of this id.
#[must_use]
pub fn find(id: &str) -> Option<&'static Check> {
    CHECKS.iter().find(|check| check.id == id)
}
