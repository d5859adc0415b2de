use http::Method;

use super::check::{Check, Compiled, Named};
use super::{Credential, Rule};
use crate::destination::{Host, Scheme, is_listed, parse_authority};
use crate::document::{At, Expect, GrantedEntry, TestEntry};
use crate::name::WorkloadName;
use crate::problem::Place;
use crate::workload::Selector;

/// One entry of `tests:` as meant.
#[derive(Debug)]
pub(crate) struct Test {
    /// As written.
    pub(crate) request: String,
    /// Where it stands.
    pub(crate) place: Place,
    /// Index of the workload; `None` for a caller that none recognises.
    pub(crate) from: Option<u32>,
    pub(crate) method: Method,
    pub(crate) scheme: Scheme,
    pub(crate) host: Host,
    pub(crate) port: u16,
    /// Without the query.
    pub(crate) path: String,
    pub(crate) expected: Expected,
}

/// What must become of a request.
#[derive(Debug)]
pub(crate) enum Expected {
    Deny,
    Allow,
    /// By this rule and with this credential, by index, where they are given.
    Granted {
        rule: Option<usize>,
        credential: Option<usize>,
    },
}

pub(super) fn compile<S>(
    entries: Vec<Named<TestEntry>>,
    workloads: &Compiled<(WorkloadName, Selector)>,
    rules: &Compiled<Rule>,
    credentials: &Compiled<Credential<S>>,
    check: &mut Check,
) -> Vec<Test> {
    let compile = |named: Named<TestEntry>| {
        let (method, url) = request(&named, check).unzip();
        let from = match &named.entry.from {
            Some(name) => {
                workloads.find("workload", "unknown_workload", &name.value, named.at(name), check).map(|index| u32::try_from(index).ok())
            }
            None => Some(None),
        };
        let expected = match &named.entry.expect.value {
            Expect::Deny => Some(Expected::Deny),
            Expect::Allow => Some(Expected::Allow),
            Expect::Granted(granted) => self::granted(granted, &named, rules, credentials, check),
        };
        let Url { scheme, host, port, path } = url?;
        Some(Test {
            request: named.entry.request.value,
            place: named.place,
            from: from?,
            method: method?,
            scheme,
            host,
            port,
            path,
            expected: expected?,
        })
    };
    entries.into_iter().filter_map(compile).collect()
}

fn granted<S>(
    entry: &GrantedEntry,
    named: &Named<TestEntry>,
    rules: &Compiled<Rule>,
    credentials: &Compiled<Credential<S>>,
    check: &mut Check,
) -> Option<Expected> {
    let rule = entry.rule.as_ref().map(|name| rules.find("rule", "unknown_rule", &name.value, named.at(name), check));
    let credential =
        entry.credential.as_ref().map(|name| credentials.find("credential", "unknown_credential", &name.value, named.at(name), check));
    if rule.is_none() && credential.is_none() {
        check.error(
            "empty_expectation",
            named.at(&named.entry.expect),
            "the test expects nothing",
            "name a rule or a credential, or write `expect: allow`",
        );
        return None;
    }
    let found = |name: Option<Option<usize>>| name.map_or(Some(None), |index| index.map(Some));
    Some(Expected::Granted { rule: found(rule)?, credential: found(credential)? })
}

struct Url {
    scheme: Scheme,
    host: Host,
    port: u16,
    path: String,
}

fn request(named: &Named<TestEntry>, check: &mut Check) -> Option<(Method, Url)> {
    let request: &At<String> = &named.entry.request;
    let parsed = parse_request(&request.value);
    if let Err(problem) = &parsed {
        check.error(
            "bad_request",
            named.at(request),
            format!("`{}` is not a request: {problem}", request.value),
            "write a method and a URL: `GET https://api.example.com/v1/items`",
        );
    }
    parsed.ok()
}

fn parse_request(text: &str) -> Result<(Method, Url), &'static str> {
    let (method, url) = text.split_once(' ').ok_or("it is not a method and a URL")?;
    let method = Method::from_bytes(method.as_bytes()).ok().filter(is_listed).ok_or("the method is not one that a rule may allow")?;
    let (scheme, rest) = match url.split_once("://") {
        Some(("https", rest)) => (Scheme::Https, rest),
        Some(("http", rest)) => (Scheme::Http, rest),
        _ => return Err("the URL begins with neither `https://` nor `http://`"),
    };
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let (host, port) = parse_authority(authority)?;
    let path = path.split(['?', '#']).next().unwrap_or_default();
    let path = if path.is_empty() { "/" } else { path };
    Ok((method, Url { scheme, host, port: port.unwrap_or(scheme.default_port()), path: path.to_owned() }))
}
