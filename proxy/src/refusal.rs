//! A stopped request: a stable code, a status, and what to do about it, as an RFC 9457 problem document.

use std::borrow::Cow;
use std::fmt::Arguments;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_TYPE, HeaderValue, PROXY_AUTHENTICATE, RETRY_AFTER};
use http::{Response, StatusCode};
use serde::Serialize;

use crate::body::Body;

/// Why a request was stopped. The code is stable: metrics, audit and clients may rely on it.
#[derive(Debug)]
pub struct Refusal {
    /// Which of the closed list.
    pub code: Code,
    /// What was refused, in one sentence; may quote the caller's own request, never a secret or text from upstream.
    pub detail: Cow<'static, str>,
    /// The rule that decided, where one did.
    pub rule: Option<String>,
    /// Seconds after which trying again can help.
    pub retry_after: Option<u64>,
    /// The task that has ended, where its token was shown: for the record alone.
    pub task: Option<Arc<str>>,
}

/// The problem document. Written as it stands: a worker that refuses because it is overloaded has no time for a tree of values.
#[derive(Serialize)]
struct Document<'r> {
    code: &'static str,
    detail: &'r str,
    instance: Arguments<'r>,
    remedy: &'static str,
    rule: Option<&'r str>,
    status: u16,
    title: &'static str,
    r#type: Arguments<'r>,
}

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident = $code:literal, $status:ident, $title:literal, $remedy:literal;)*) => {
        /// The closed list of refusals.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Code { $($(#[$doc])* $variant,)* }

        impl Code {
            /// Every code.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The stable code.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $code,)* }
            }

            /// The HTTP status.
            #[must_use]
            pub fn status(self) -> StatusCode {
                match self { $(Self::$variant => StatusCode::$status,)* }
            }

            fn title(self) -> &'static str {
                match self { $(Self::$variant => $title,)* }
            }

            fn remedy(self) -> &'static str {
                match self { $(Self::$variant => $remedy,)* }
            }
        }
    };
}

codes! {
    /// The request cannot be read in one way only.
    BadRequest = "bad_request", BAD_REQUEST, "The request is malformed", "Send a well-formed request; retrying this one will not help.";
    /// The path can be read in more than one way.
    PathAmbiguous = "path_ambiguous", BAD_REQUEST, "The path is ambiguous", "Send the path in its canonical form; retrying this one will not help.";
    /// The method is not one that keygress carries.
    MethodNotCarried = "method_not_carried", METHOD_NOT_ALLOWED, "The method is not carried", "Use a standard method in upper case; retrying this one will not help.";
    /// A transfer coding that keygress does not carry.
    CodingNotCarried = "coding_not_carried", NOT_IMPLEMENTED, "The transfer coding is not carried", "Send the body with Content-Length or chunked alone.";
    /// The request names another destination than its connection was opened for.
    Misdirected = "misdirected", MISDIRECTED_REQUEST, "The request is for another destination than its connection", "Open a connection for that destination.";
    /// No task token where one is needed, or a wrong one.
    CallerUnproven = "caller_unproven", PROXY_AUTHENTICATION_REQUIRED, "The caller is not proven", "Send the task token as proxy credentials: http://task:TOKEN@HOST:PORT.";
    /// The task under which the connection was opened has ended.
    TaskEnded = "task_ended", FORBIDDEN, "The task has ended", "Begin a new task; retrying will not help.";
    /// The caller may not use this listener at all.
    CallerRefused = "caller_refused", FORBIDDEN, "The caller is refused", "Run the application under another user than keygress.";
    /// The client certificate proves nothing, or there is none.
    PeerRefused = "peer_refused", FORBIDDEN, "The client certificate is refused", "Show a client certificate that is current and comes from an authority of this listener; retrying with this one will not help.";
    /// What a peer says of its caller is not believed.
    StatementRefused = "statement_refused", FORBIDDEN, "What is said of the caller is not believed", "Only a keygress speaks for others, anew for each request; look at the clocks and certificates of both sides.";
    /// The broker of the rule cannot be used.
    BrokerUnavailable = "broker_unavailable", BAD_GATEWAY, "The broker cannot be used", "Look at the broker, and at the certificates on both sides; nothing was sent by another way.";
    /// No more connections.
    Full = "full", SERVICE_UNAVAILABLE, "Too many connections", "Close connections that are not used, or raise the limit of open files; then try again.";
    /// This worker has more to do than it can.
    Overloaded = "overloaded", SERVICE_UNAVAILABLE, "keygress has more to do than it can", "Slow down; try again later.";
    /// No rule names the destination.
    UnknownDestination = "unknown_destination", FORBIDDEN, "No rule names this destination", "Ask the owner of the policy for a rule with this destination; retrying will not help.";
    /// No rule for this caller.
    CallerNotAllowed = "caller_not_allowed", FORBIDDEN, "No rule allows this caller", "Ask the owner of the policy to name this workload in a rule's `from`; retrying will not help.";
    /// No rule allows this method and path.
    NotAllowed = "not_allowed", FORBIDDEN, "No rule allows this request", "Ask the owner of the policy to add this method and path to a rule's `allow`; retrying will not help.";
    /// An `except` names it.
    Excepted = "excepted", FORBIDDEN, "A rule excepts this request", "The policy refuses this on purpose; retrying will not help.";
    /// The answer would be a credential, and no rule names the request in full.
    Minting = "minting", FORBIDDEN, "The answer would be a new credential", "Ask the owner of the policy for a rule that names this request in full; retrying will not help.";
    /// Two rules want different credentials on it.
    Ambiguous = "ambiguous_credentials", FORBIDDEN, "Two rules put different credentials on this request", "Ask the owner of the policy to make these rules disjoint; retrying will not help.";
    /// The injected slot already holds something, or not the placeholder.
    SlotRefused = "slot_refused", FORBIDDEN, "The application's own credential is refused", "Send the placeholder, or nothing, where keygress puts the credential.";
    /// The body is larger than what may be held to sign or change it.
    BodyTooLarge = "body_too_large", PAYLOAD_TOO_LARGE, "The body is too large to be signed", "Name its hash in `x-amz-content-sha256` where the service takes it, or ask the owner of the policy for a larger `body_max`.";
    /// Somebody suspended what this request concerns.
    Suspended = "suspended", FORBIDDEN, "It was suspended", "Ask whoever suspended it; retrying will not help before it is resumed.";
    /// Somebody revoked what this request concerns.
    Revoked = "revoked", FORBIDDEN, "It was revoked", "Ask whoever revoked it; retrying will not help before it is resumed.";
    /// The rule or the credential under which the request ran has left the policy.
    LeftPolicy = "left_policy", FORBIDDEN, "The policy no longer allows this request", "Ask the owner of the policy; retrying will not help.";
    /// A rate limit.
    RateLimited = "rate_limited", TOO_MANY_REQUESTS, "The rule's rate is used up", "Slow down; try again later.";
    /// No credential now.
    NoCredential = "no_credential", SERVICE_UNAVAILABLE, "The credential is not available", "See the detail; the owner of the credential can fix it.";
    /// The audit does not take records.
    AuditUnavailable = "audit_unavailable", SERVICE_UNAVAILABLE, "The audit does not take records", "Free the audit's disk; keygress sends nothing with a credential that it cannot record.";
    /// The address of the destination is not one that the policy permits.
    AddressRefused = "address_refused", FORBIDDEN, "The destination's address is refused", "If this destination is private on purpose, name its addresses in the rule's `allow_ips`.";
    /// The name does not resolve.
    Unresolvable = "unresolvable", BAD_GATEWAY, "The destination does not resolve", "Check the name and DNS.";
    /// The destination cannot be reached.
    Unreachable = "unreachable", BAD_GATEWAY, "The destination cannot be reached", "Check that the destination is up.";
    /// The destination's certificate does not prove its name.
    UpstreamUnverified = "upstream_unverified", BAD_GATEWAY, "The destination's certificate does not prove its name", "Fix the destination's certificate, or trust its CA with --upstream-ca; nothing was sent.";
    /// The destination took too long.
    UpstreamTimeout = "upstream_timeout", GATEWAY_TIMEOUT, "The destination took too long", "Try again later.";
    /// The destination broke off.
    UpstreamFailed = "upstream_failed", BAD_GATEWAY, "The destination broke the exchange off", "Try again if the request may be repeated.";
    /// The answer cannot be searched for the credential.
    Unscrubbable = "unscrubbable", BAD_GATEWAY, "The answer cannot be searched for the credential", "Ask for it whole, in gzip, deflate, br, zstd or no coding; the owner of the policy can let such answers pass with `unsafe_unscrubbed_body`.";
    /// keygress itself failed.
    Internal = "internal", INTERNAL_SERVER_ERROR, "keygress failed on this request", "Report it with the request id.";
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.code.as_str(), self.detail)
    }
}

impl std::error::Error for Refusal {}

impl Refusal {
    /// A refusal with this sentence.
    pub fn new(code: Code, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { code, detail: detail.into(), rule: None, retry_after: None, task: None }
    }

    /// Names the rule that decided.
    #[must_use]
    pub fn by_rule(mut self, rule: impl ToString) -> Self {
        self.rule = Some(rule.to_string());
        self
    }

    /// Names the ended task whose token was shown.
    #[must_use]
    pub fn of_task(self, task: Option<Arc<str>>) -> Self {
        Self { task, ..self }
    }

    /// Says when trying again can help.
    #[must_use]
    pub fn retry_after(mut self, seconds: Option<u64>) -> Self {
        self.retry_after = seconds;
        self
    }

    /// The problem document as a response; `request` is the id under which the audit holds it.
    #[must_use]
    pub fn respond(&self, request: u64) -> Response<Body> {
        let document = Document {
            code: self.code.as_str(),
            detail: &self.detail,
            instance: format_args!("urn:keygress:request:{request}"),
            remedy: self.code.remedy(),
            rule: self.rule.as_deref(),
            status: self.code.status().as_u16(),
            title: self.code.title(),
            r#type: format_args!("urn:keygress:refusal:{}", self.code.as_str()),
        };
        // To be written, it needs nothing that can fail.
        let mut text = serde_json::to_vec(&document).unwrap_or_default();
        text.push(b'\n');
        let mut response = Response::new(Body::text(Bytes::from(text)));
        *response.status_mut() = self.code.status();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert("x-keygress-refusal", HeaderValue::from_static(self.code.as_str()));
        if self.code == Code::CallerUnproven {
            headers.insert(PROXY_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"keygress task\""));
        }
        if let Some(seconds) = self.retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.closes() {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }

    /// Whether the connection cannot be trusted to be in step after this: what follows might be read wrongly.
    fn closes(&self) -> bool {
        matches!(
            self.code,
            Code::BadRequest
                | Code::CodingNotCarried
                | Code::Misdirected
                | Code::MethodNotCarried
                | Code::CallerRefused
                | Code::PeerRefused
                | Code::Full
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_code_rule_and_remedy() {
        let response = Refusal::new(Code::Excepted, "`GET /x` is excepted").by_rule("docs").respond(7);
        assert_eq!(response.status(), 403);
        assert_eq!(response.headers()["content-type"], "application/problem+json");
        let Body::Text(Some(text)) = response.into_body() else { panic!("a text") };
        let document: serde_json::Value = serde_json::from_slice(&text).unwrap();
        assert_eq!(document["code"], "excepted");
        assert_eq!(document["rule"], "docs");
        assert_eq!(document["instance"], "urn:keygress:request:7");
        assert!(document["remedy"].as_str().unwrap().contains("retrying will not help"));
    }

    #[test]
    fn codes_are_distinct() {
        let mut codes: Vec<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), Code::ALL.len());
    }
}
