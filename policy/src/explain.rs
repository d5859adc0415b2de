//! The same walk as `decide`, with a reason for every rule; and the policy's own tests.

use http::{Method, Uri};

use crate::compile::{Callers, Expected, Policy, Rule, Source, Terms, Test};
use crate::decide::{Decision, Denial, Question};
use crate::destination::{Host, Scheme, is_listed, parse_authority, path_ambiguity};
use crate::problem::{Place, nearest};
use crate::workload::Workloads;

/// A request in question, by the name of a workload rather than a proven caller.
#[derive(Debug)]
pub struct Hypothesis<'q> {
    /// The workload's name; `None` for a caller that no workload recognises.
    pub from: Option<&'q str>,
    /// Scheme.
    pub scheme: Scheme,
    /// Host.
    pub host: &'q Host,
    /// Port.
    pub port: u16,
    /// Method.
    pub method: &'q Method,
    /// Path without query.
    pub path: &'q str,
}

/// Where a request would go that somebody asks about.
#[derive(Debug)]
pub struct Asked {
    /// Scheme: `http` is raised where the policy raises it.
    pub scheme: Scheme,
    /// Host.
    pub host: Host,
    /// Port.
    pub port: u16,
}

impl Asked {
    /// Reads an address as an application would ask for it.
    ///
    /// # Errors
    /// Why it cannot be asked for.
    pub fn parse<S: Source>(url: &Uri, policy: &Policy<S>) -> Result<Self, String> {
        let scheme = match url.scheme_str() {
            Some("https") => Scheme::Https,
            Some("http") => Scheme::Http,
            _ => return Err(format!("`{url}` is not an address that begins with https:// or http://")),
        };
        let authority = url.authority().map(http::uri::Authority::as_str).unwrap_or_default();
        let (host, port) = parse_authority(authority).map_err(|reason| format!("`{authority}`: {reason}"))?;
        let port = port.unwrap_or(scheme.default_port());
        if scheme == Scheme::Http && port == scheme.default_port() && policy.raises(&host) {
            return Ok(Self { scheme: Scheme::Https, host, port: Scheme::Https.default_port() });
        }
        Ok(Self { scheme, host, port })
    }
}

/// What `keygress explain` shows.
#[derive(Debug, serde::Serialize)]
pub struct Explanation {
    /// `allow` or `deny`.
    pub decision: &'static str,
    /// The rule that decided.
    pub rule: Option<String>,
    /// The credential that is put on.
    pub credential: Option<String>,
    /// One sentence: why.
    pub reason: String,
    /// A rule that would allow it, where it is denied.
    pub suggestion: Option<String>,
    /// Every rule that names the host, and why it does or does not match.
    pub rules: Vec<RuleReason>,
}

/// Why one rule matches or not.
#[derive(Debug, serde::Serialize)]
pub struct RuleReason {
    /// The rule.
    pub rule: String,
    /// Whether it matches.
    pub matches: bool,
    /// Why.
    pub reason: String,
}

/// The outcome of one entry of `tests:`.
#[derive(Debug)]
pub struct TestOutcome {
    /// What was asked, as `POST https://… from billing`.
    pub name: String,
    /// Where it stands.
    pub place: Place,
    /// `None` where it passed, or what came instead.
    pub failure: Option<String>,
}

impl<S: Source> Policy<S> {
    /// Explains one decision.
    ///
    /// # Errors
    /// A message where `from` names no workload of this policy.
    pub fn explain(&self, question: &Hypothesis<'_>) -> Result<Explanation, String> {
        let workloads = self.workloads_named(question.from)?;
        let Hypothesis { scheme, host, port, method, path, .. } = *question;
        let question = Question { workloads: &workloads, scheme, host, port, method, path };
        let decision = self.decide(&question);
        let rules = self
            .rules
            .iter()
            .zip(&self.terms)
            .filter(|(rule, _)| rule.host.matches(host))
            .map(|(rule, terms)| reason(rule, terms, &question))
            .collect();
        let explanation = Explanation { decision: "deny", rule: None, credential: None, reason: String::new(), suggestion: None, rules };
        Ok(match decision {
            Decision::Grant(grant) => Explanation {
                decision: "allow",
                rule: Some(grant.rule.name.to_string()),
                credential: grant.credential.map(|credential| credential.name.to_string()),
                reason: match (grant.credential, &grant.rule.via) {
                    (Some(credential), _) => format!("rule `{}` allows it and puts on `{}`", grant.rule.name, credential.name),
                    (None, Some(via)) => format!("rule `{}` allows it and sends it through the broker `{via}`", grant.rule.name),
                    (None, None) => format!("rule `{}` allows it and puts nothing on", grant.rule.name),
                },
                ..explanation
            },
            Decision::Denied(denial) => {
                let deciding = match &denial {
                    Denial::Except(rule) | Denial::Minting(rule) | Denial::Ambiguous(rule, _) => Some(rule.name.to_string()),
                    Denial::UnknownDestination | Denial::Caller | Denial::Request | Denial::Path(_) => None,
                };
                let suggestion = self.suggestion(&denial, &question);
                Explanation { rule: deciding, reason: sentence(&denial, &question), suggestion, ..explanation }
            }
        })
    }

    pub(crate) fn workloads_named(&self, name: Option<&str>) -> Result<Workloads, String> {
        let Some(name) = name else { return Ok(Workloads::default()) };
        let found = self.workloads.binary_search_by(|(known, _)| known.as_str().cmp(name));
        match found.ok().and_then(|index| u32::try_from(index).ok()) {
            Some(id) => Ok(Workloads { ids: [id].into() }),
            None => Err(match nearest(name, self.workloads.iter().map(|(known, _)| known.as_str())) {
                Some(near) => format!("there is no workload `{name}`; did you mean `{near}`?"),
                None => format!("there is no workload `{name}`"),
            }),
        }
    }

    /// A rule that would allow the request, as YAML, where writing one is the remedy.
    fn suggestion(&self, denial: &Denial<'_>, question: &Question<'_>) -> Option<String> {
        if !matches!(denial, Denial::UnknownDestination | Denial::Caller | Denial::Request)
            || !is_listed(question.method)
            || path_ambiguity(question.path).is_some()
        {
            return None;
        }
        let from = match self.workload_name(question.workloads) {
            Some(name) => format!("[{name}]"),
            None => "any".to_owned(),
        };
        let to = origin(question);
        let plaintext = if question.scheme == Scheme::Http { "\n    unsafe_plaintext: true" } else { "" };
        // A quoted entry is one text whatever the path holds; quotes in a path double.
        let entry = format!("{} {}", question.method, question.path).replace('\'', "''");
        Some(format!("rules:\n  NAME:\n    from: {from}\n    to: {to}{plaintext}\n    allow: ['{entry}']\n"))
    }

    /// Runs the policy's own tests.
    #[must_use]
    pub fn run_tests(&self) -> Vec<TestOutcome> {
        self.tests.iter().map(|test| self.run_test(test)).collect()
    }

    fn run_test(&self, test: &Test) -> TestOutcome {
        let workloads = Workloads { ids: test.from.into_iter().collect() };
        let question = Question {
            workloads: &workloads,
            scheme: test.scheme,
            host: &test.host,
            port: test.port,
            method: &test.method,
            path: &test.path,
        };
        let decision = self.decide(&question);
        let from = self.workload_name(&workloads).map_or_else(|| "anybody".to_owned(), ToString::to_string);
        let failure = if self.is_expected(&decision, &test.expected) { None } else { Some(self.difference(&decision, test, &question)) };
        TestOutcome { name: format!("{} from {from}", test.request), place: test.place, failure }
    }

    fn is_expected(&self, decision: &Decision<'_, S>, expected: &Expected) -> bool {
        match (expected, decision) {
            (Expected::Deny, Decision::Denied(_)) | (Expected::Allow, Decision::Grant(_)) => true,
            (Expected::Granted { rule, credential }, Decision::Grant(grant)) => {
                rule.is_none_or(|rule| rule == grant.rule.index)
                    && credential.is_none_or(|credential| grant.credential.is_some_and(|granted| granted.index == credential))
            }
            (Expected::Deny, Decision::Grant(_)) | (Expected::Allow | Expected::Granted { .. }, Decision::Denied(_)) => false,
        }
    }

    fn difference(&self, decision: &Decision<'_, S>, test: &Test, question: &Question<'_>) -> String {
        let expected = match &test.expected {
            Expected::Deny => "deny".to_owned(),
            Expected::Allow => "allow".to_owned(),
            Expected::Granted { rule, credential } => {
                let rule = rule.and_then(|index| self.rules.get(index)).map(|rule| format!("rule `{}`", rule.name));
                let credential =
                    credential.and_then(|index| self.credentials.get(index)).map(|credential| format!("credential `{}`", credential.name));
                rule.into_iter().chain(credential).collect::<Vec<_>>().join(" and ")
            }
        };
        let came = match decision {
            Decision::Grant(grant) => {
                let credential =
                    grant.credential.map_or_else(|| "no credential".to_owned(), |credential| format!("credential `{}`", credential.name));
                format!("rule `{}` allows it with {credential}", grant.rule.name)
            }
            Decision::Denied(denial) => format!("it is denied: {}", sentence(denial, question)),
        };
        format!("expected {expected}, but {came}")
    }
}

/// Why a request is denied, in one sentence.
fn sentence(denial: &Denial<'_>, question: &Question<'_>) -> String {
    let to = origin(question);
    match denial {
        Denial::UnknownDestination => format!("no rule names `{to}`"),
        Denial::Caller => format!("rules name `{to}`, but none is for this caller"),
        Denial::Request => format!("rules let this caller reach `{to}`, but none allows `{} {}`", question.method, question.path),
        Denial::Except(rule) => format!("`except` of rule `{}` refuses it, whatever another rule allows", rule.name),
        Denial::Minting(rule) => {
            format!(
                "its answer would be a new credential: a pattern of rule `{}` does not allow that, only an entry that names it in full",
                rule.name
            )
        }
        Denial::Ambiguous(one, other) => format!("rules `{}` and `{}` would put different credentials on it", one.name, other.name),
        Denial::Path(problem) => format!("{problem}, so it can be read in more than one way"),
    }
}

/// `scheme://host`, with the port where it is not the usual one.
fn origin(question: &Question<'_>) -> String {
    let port = if question.port == question.scheme.default_port() { String::new() } else { format!(":{}", question.port) };
    format!("{}://{}{port}", question.scheme.as_str(), question.host)
}

/// Why one rule for the host matches or not.
fn reason(rule: &Rule, terms: &Terms, question: &Question<'_>) -> RuleReason {
    let admitted = match &terms.callers {
        Callers::Any => true,
        Callers::These(ids) => question.workloads.ids.iter().any(|id| ids.binary_search(id).is_ok()),
    };
    let (matches, reason) = if rule.scheme != question.scheme || rule.port != question.port {
        (false, format!("it is for {} on port {}", rule.scheme.as_str(), rule.port))
    } else if !admitted {
        (false, "`from` does not list this caller".to_owned())
    } else if terms.except.iter().any(|except| except.matches(question.method, question.path)) {
        (true, "`except` matches: it refuses the request".to_owned())
    } else if !terms.allow.iter().any(|allow| allow.matches(question.method, question.path)) {
        (false, "no entry of `allow` matches this method and path".to_owned())
    } else if terms.mints(question.method, question.path)
        && !terms.allow.iter().any(|allow| terms.names_minting(allow) && allow.matches(question.method, question.path))
    {
        (false, "the answer would be a new credential, and no entry of `allow` names the request in full".to_owned())
    } else if rule.via.is_some() {
        (true, "it allows the request and sends it through its broker".to_owned())
    } else if rule.credential.is_some() {
        (true, "it allows the request and puts a credential on".to_owned())
    } else {
        (true, "it allows the request".to_owned())
    };
    RuleReason { rule: rule.name.to_string(), matches, reason }
}
