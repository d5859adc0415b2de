//! A policy as it is written, with the position of every value.

/// Values with their position.
mod at;

/// One narrow door between the YAML library and our types.
mod narrow;

/// From text to a document, or its problems.
mod read;

/// Values that are a word or something longer.
mod word;

/// What the YAML library says, in our words.
mod complaint;

/// Where the entries of a file stand, for reading them one by one.
mod outline;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde::Deserialize;

use crate::compile::Source;
use crate::inject::Shape;
use crate::response::Response;

pub use at::{At, Entries};
pub use narrow::Narrow;
pub(crate) use read::read;

/// The reference of every key, as Markdown.
pub const REFERENCE: &str = include_str!("../../reference.md");

/// The JSON Schema of a policy whose providers are `S`, as pretty-printed JSON.
#[must_use]
pub fn schema<S: Source>() -> String {
    let schema = SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<Document<S>>();
    format!("{:#}", schema.as_value())
}

/// A keygress policy: who may call what, with which credential. Several files are merged into one policy.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, bound(deserialize = "S: Source"))]
#[schemars(rename = "Policy", bound = "S: Source")]
pub struct Document<S> {
    /// The version of this format: 1. Required in every file.
    #[schemars(required)]
    pub(crate) version: Option<At<u64>>,
    /// Who calls, by name: proven, never claimed.
    #[serde(default)]
    pub(crate) workloads: Entries<WorkloadEntry>,
    /// What is put on requests, by name.
    #[serde(default)]
    pub(crate) credentials: Entries<CredentialEntry<S>>,
    /// What is allowed, by name. What no rule allows is denied; the order never matters.
    #[serde(default)]
    pub(crate) rules: Entries<RuleEntry>,
    /// What follows an alert, by detector: `alert`, `throttle`, `suspend` or `revoke`. Default: the alert alone.
    #[serde(default)]
    pub(crate) responses: Entries<Response>,
    /// Requests and what must become of them; `keygress test` runs them.
    pub(crate) tests: Option<Vec<At<TestEntry>>>,
}

/// How a workload is recognised: everything that is given must hold.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Workload")]
pub(crate) struct WorkloadEntry {
    /// Labels of your own, such as `stage: production`. They recognise nobody.
    #[serde(default)]
    pub(crate) labels: BTreeMap<String, String>,
    /// A Kubernetes pod, by its verified service-account token.
    pub(crate) kubernetes: Option<KubernetesEntry>,
    /// A local process, as the kernel names it.
    pub(crate) process: Option<At<ProcessEntry>>,
    /// The other end of a connection over mutual TLS: a keygress for which this one is the broker, or a workload itself.
    pub(crate) mtls: Option<At<MtlsEntry>>,
    /// The holder of a JWT that it presents to the broker: which issuers are believed, `proxy.yaml` says.
    pub(crate) jwt: Option<At<JwtEntry>>,
    /// A task, by the labels that it was started with.
    pub(crate) task: Option<At<TaskEntry>>,
}

/// A Kubernetes pod.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Kubernetes")]
pub(crate) struct KubernetesEntry {
    /// Its namespace.
    pub(crate) namespace: String,
    /// Its service account.
    pub(crate) service_account: String,
    /// Its name, where the token is bound to one pod.
    pub(crate) pod: Option<String>,
}

/// A local process. `executable` is advisory and never suffices alone.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Process")]
pub(crate) struct ProcessEntry {
    /// The name of its user. Not together with `uid`.
    pub(crate) user: Option<String>,
    /// Its numeric user id. Not together with `user`.
    pub(crate) uid: Option<At<u32>>,
    /// Its systemd unit, such as `restic.service`.
    pub(crate) unit: Option<String>,
    /// The id of its container: 64 hexadecimal digits.
    pub(crate) container: Option<At<String>>,
    /// The path of its executable.
    pub(crate) executable: Option<At<String>>,
}

/// The other end of a connection over mutual TLS, by its client certificate. Exactly one of `spiffe_id` and `dns_name`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Mtls")]
pub(crate) struct MtlsEntry {
    /// The SPIFFE ID (URI) of the certificate, in full.
    pub(crate) spiffe_id: Option<At<String>>,
    /// A DNS name of the certificate, in full.
    pub(crate) dns_name: Option<At<String>>,
    /// The workload for which that keygress says to speak, by the name in its own policy. Default: whoever it is.
    pub(crate) workload: Option<At<String>>,
}

/// The holder of a JWT. At least one of `subject` and `claims`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Jwt")]
pub(crate) struct JwtEntry {
    /// Its issuer: `iss`, exactly.
    pub(crate) issuer: String,
    /// Its subject: `sub`, exactly.
    pub(crate) subject: Option<String>,
    /// Claims that it must have, with these values; of a list, one of its entries.
    #[serde(default)]
    pub(crate) claims: BTreeMap<String, String>,
}

/// A task.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Task")]
pub(crate) struct TaskEntry {
    /// Labels that the task must have, with these values; further labels do not matter.
    pub(crate) labels: BTreeMap<String, String>,
}

/// A named right to call something.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, bound(deserialize = "S: Source"))]
#[schemars(rename = "Credential", bound = "S: Source")]
pub(crate) struct CredentialEntry<S> {
    /// Who answers for it.
    pub(crate) owner: At<String>,
    /// Labels of your own, such as `stage: production`.
    #[serde(default)]
    pub(crate) labels: BTreeMap<String, String>,
    /// Required where the source yields a long-lived key: why it is one, and until when.
    #[serde(rename = "static")]
    pub(crate) static_terms: Option<StaticEntry>,
    /// The provider: where it comes from.
    pub(crate) source: At<S>,
    /// The vendor's API that it is for, such as `github`: `keygress presets` lists them. Gives `inject`, `only_to`, the shape of the
    /// placeholder, and the requests whose answer is another credential.
    pub(crate) preset: Option<At<String>>,
    /// The injection: how it goes on the wire. Required without a `preset`; with one it may only be that injection with other keys.
    pub(crate) inject: Option<At<Shape>>,
    /// The destinations that it may ever reach, whatever a rule says: hosts, or `*.` and a suffix. Required without a `preset`; with one it
    /// may only name some of its hosts, unless that API is also run elsewhere.
    pub(crate) only_to: Option<At<Vec<At<String>>>>,
    /// The worthless stand-in that `keygress run` hands to the application.
    pub(crate) placeholder: Option<PlaceholderEntry>,
}

/// The terms of a static key.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Static")]
pub(crate) struct StaticEntry {
    /// Why it cannot be short-lived.
    pub(crate) reason: At<String>,
    /// The last day (UTC) on which it may be used, such as `2027-01-31`.
    pub(crate) expires: At<String>,
}

/// What the application holds instead of the credential.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Placeholder")]
pub(crate) struct PlaceholderEntry {
    /// The environment variable in which it is handed over. Required without a `preset`.
    pub(crate) env: Option<At<String>>,
    /// The prefix that gives it the vendor's shape, such as `sk_test_`. Default: that of the preset, or none.
    pub(crate) like: Option<String>,
}

/// Permission to call a destination.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Rule")]
pub(crate) struct RuleEntry {
    /// The workloads that may call, or `any`. Required with a credential; default: any.
    pub(crate) from: Option<At<From>>,
    /// The destination: `https://host`, `https://host:port`, or `https://*.suffix`. No path.
    pub(crate) to: At<String>,
    /// What is allowed: `METHOD /path`. Required with a credential; default: everything.
    pub(crate) allow: Option<At<Vec<At<String>>>>,
    /// What is refused whatever any rule allows, for the callers and destination of this rule.
    #[serde(default)]
    pub(crate) except: Vec<At<String>>,
    /// The credential that is put on.
    pub(crate) credential: Option<At<String>>,
    /// The broker through which it goes, by its name in `proxy.yaml`: the credential is put on there. Not together with `credential`.
    pub(crate) via: Option<At<String>>,
    /// How many requests are allowed in what time.
    pub(crate) limit: Option<LimitEntry>,
    /// A header that names the caller to the destination.
    pub(crate) attribute: Option<AttributeEntry>,
    /// The name of this destination as a base URL: `http://LISTENER/NAME/…`. The exact host itself always works.
    pub(crate) route: Option<At<String>>,
    /// Private or loopback networks in which an exact host may have its addresses.
    pub(crate) allow_ips: Option<At<Vec<At<String>>>>,
    /// Required for `to: http://…`, and only there: requests leave without TLS.
    pub(crate) unsafe_plaintext: Option<At<bool>>,
    /// `http` requests to port 80 of this host are sent as `https`. Default: false.
    pub(crate) raise_to_https: Option<At<bool>>,
    /// `opaque`: an encoded slash (`%2F`) in a path stays inside its segment, and this rule may allow it. Default: such a path is refused.
    pub(crate) encoded_slash: Option<EncodedSlash>,
    /// Answers pass without a search of their bodies for the credential. Default: false.
    pub(crate) unsafe_unscrubbed_body: Option<At<bool>>,
    /// Request trailers that are passed on; all others are dropped.
    #[serde(default)]
    pub(crate) request_trailers: Vec<At<String>>,
    /// Credential-shaped headers of the caller's own that are passed on; all others are removed.
    #[serde(default)]
    pub(crate) forward: Vec<At<String>>,
}

/// `from:` of a rule.
#[derive(Debug)]
pub(crate) enum From {
    /// The word `any`: every caller, recognised or not.
    Any,
    /// These workloads.
    Workloads(Vec<At<String>>),
}

/// What an encoded slash in a path means.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum EncodedSlash {
    /// It is a byte of its segment.
    Opaque,
}

/// How many requests, counted for whom.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Limit")]
pub(crate) struct LimitEntry {
    /// Requests per second, minute or hour: `50/s`, `100/min`, `1000/h`.
    pub(crate) rate: At<String>,
    /// Who is counted apart. Default: `workload`.
    #[serde(default)]
    pub(crate) per: PerEntry,
}

/// A header that names the caller.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Attribute")]
pub(crate) struct AttributeEntry {
    /// Its name. What the application sends under it is removed.
    pub(crate) header: At<String>,
    /// Its value, with `{workload}`, `{task}` or both; `none` stands for what there is none of.
    pub(crate) value: At<String>,
}

/// Who is counted apart.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "Per")]
pub(crate) enum PerEntry {
    /// Each workload.
    #[default]
    Workload,
    /// Each task.
    Task,
    /// Nobody: all callers of the rule together.
    Rule,
}

/// A request and what must become of it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Test")]
pub(crate) struct TestEntry {
    /// `METHOD URL`, such as `POST https://api.example.com/v1/charges`.
    pub(crate) request: At<String>,
    /// The workload that calls. Default: a caller that no workload recognises.
    pub(crate) from: Option<At<String>>,
    /// `deny`, `allow`, or `{ rule: NAME, credential: NAME }`.
    pub(crate) expect: At<Expect>,
}

/// What must become of a request.
#[derive(Debug)]
pub(crate) enum Expect {
    /// The word `deny`.
    Deny,
    /// The word `allow`.
    Allow,
    /// Allowed by this rule, with this credential; one of the two may be left out.
    Granted(GrantedEntry),
}

/// `expect: { rule, credential }`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Granted")]
pub(crate) struct GrantedEntry {
    /// The rule that must allow it.
    pub(crate) rule: Option<At<String>>,
    /// The credential that must be put on.
    pub(crate) credential: Option<At<String>>,
}
