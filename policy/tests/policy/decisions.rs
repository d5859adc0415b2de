//! What is decided.

use std::collections::BTreeMap;

use http::Method;
use keygress_policy::Policy;
use keygress_policy::decide::{Connect, Decision, Denial, Question};
use keygress_policy::destination::{Host, Scheme};
use keygress_policy::workload::{Caller, Process, Task, Workloads};

use crate::provider::{Provider, policy};

const POLICY: &str = r#"
version: 1
workloads:
  agent: { task: { labels: { kind: agent } } }
  backup: { process: { uid: 7 } }
credentials:
  github:
    owner: platform
    source: { exec: { command: [mint] } }
    inject: bearer
    only_to: [api.github.com, gitlab.test]
  other:
    owner: platform
    source: { exec: { command: [mint] } }
    inject: bearer
    only_to: ["*.github.com"]
rules:
  reads:
    from: [agent]
    to: https://api.github.com
    allow:
      - GET /repos/acme/{repo}/**
      - POST /search
    except:
      - GET /repos/acme/{repo}/secrets/**
    credential: github
  backups:
    from: [backup]
    to: https://api.github.com
    allow: [GET /archive/**, GET /repos/acme/api/secrets/**]
    credential: other
  anybody:
    to: https://api.github.com
    allow:
      - GET /zen
      - GET /search
      - "* /anything/{x}"
  docs:
    to: https://docs.example.com
  pages:
    to: https://*.pages.example.com
    raise_to_https: true
  gitlab:
    from: [agent]
    to: https://gitlab.test:8443
    allow:
      - GET /projects/{id}/files/{file}
    credential: github
    encoded_slash: opaque
    route: lab
  gitlab-trees:
    from: [agent]
    to: https://gitlab.test:8443
    allow:
      - GET /projects/{id}/tree
    except:
      - GET /projects/{id}/files/key
"#;

fn agent() -> Caller {
    let labels = BTreeMap::from([("kind".to_owned(), "agent".to_owned())]);
    Caller { task: Some(Task { id: "1".into(), labels }), ..Caller::default() }
}

fn backup() -> Caller {
    let process = Process { uid: 7, gid: None, pid: None, user: None, unit: None, container: None, executable: None };
    Caller { process: Some(process), ..Caller::default() }
}

/// The outcome in one word or two.
fn decided(policy: &Policy<Provider>, workloads: &Workloads, request: &str) -> String {
    let (method, url) = request.split_once(' ').unwrap();
    let (scheme, rest) = url.split_once("://").unwrap();
    let scheme = if scheme == "https" { Scheme::Https } else { Scheme::Http };
    let (authority, path) = rest.split_at(rest.find('/').unwrap());
    let (host, port) = keygress_policy::destination::parse_authority(authority).unwrap();
    let method: Method = method.parse().unwrap();
    let question = Question { workloads, scheme, host: &host, port: port.unwrap_or(scheme.default_port()), method: &method, path };
    match policy.decide(&question) {
        Decision::Grant(grant) => match grant.credential {
            Some(credential) => format!("{} {}", grant.rule.name, credential.name),
            None => grant.rule.name.to_string(),
        },
        Decision::Denied(Denial::UnknownDestination) => "destination".into(),
        Decision::Denied(Denial::Caller) => "caller".into(),
        Decision::Denied(Denial::Request) => "request".into(),
        Decision::Denied(Denial::Except(rule)) => format!("except {}", rule.name),
        Decision::Denied(Denial::Ambiguous(one, other)) => format!("ambiguous {} {}", one.name, other.name),
        Decision::Denied(Denial::Minting(rule)) => format!("minting by {}", rule.name),
        Decision::Denied(Denial::Path(problem)) => problem.into(),
    }
}

#[test]
fn what_goes_through_a_broker_has_its_credential_there() {
    let policy = policy(
        "
version: 1
workloads:
  agent: { task: { labels: { kind: agent } } }
rules:
  anybody: { to: https://a.example, allow: [GET /**] }
  charges: { from: [agent], to: https://a.example, allow: [GET /charges, GET /both/x], via: edge }
  refunds: { from: [agent], to: https://a.example, allow: [GET /refunds, 'GET /both/{y}'], via: edge }
",
    );
    let (agent, nobody) = (policy.recognise(&agent()), policy.recognise(&Caller::default()));
    for (caller, request, outcome) in [
        (&agent, "GET https://a.example/charges", "charges"),
        (&agent, "GET https://a.example/both/x", "charges"),
        (&agent, "GET https://a.example/other", "anybody"),
        (&nobody, "GET https://a.example/charges", "anybody"),
    ] {
        assert_eq!(decided(&policy, caller, request), outcome, "{request}");
    }
    assert!(policy.rules().iter().all(|rule| rule.via.is_some() == (rule.name.as_str() != "anybody")));
    assert!(matches!(policy.connect(&nobody, &Host::parse("a.example").unwrap(), 443), Connect::Intercept));
}

#[test]
fn two_brokers_for_one_request_are_as_two_credentials() {
    let rules = |other: &str| {
        format!(
            "version: 1
rules:
  one: {{ from: any, to: https://a.example, allow: [GET /charges], via: edge }}
  two: {{ from: any, to: https://a.example, allow: [GET /charges], via: {other} }}
"
        )
    };
    assert!(crate::provider::codes(&rules("edge")).is_empty());
    assert_eq!(crate::provider::codes(&rules("core")), ["conflicting_credentials"]);
}

#[test]
fn every_allow_has_its_deny_twin() {
    let policy = policy(POLICY);
    let (agent, backup, nobody) = (policy.recognise(&agent()), policy.recognise(&backup()), policy.recognise(&Caller::default()));
    for (caller, request, outcome) in [
        (&agent, "GET https://api.github.com/repos/acme/api/contents/x", "reads github"),
        (&agent, "GET https://api.github.com/repos/acme/api", "reads github"),
        (&agent, "GET https://api.github.com/repos/acme/", "request"),
        (&agent, "GET https://api.github.com/repos/other/api", "request"),
        (&agent, "POST https://api.github.com/repos/acme/api", "request"),
        (&agent, "GET https://api.github.com:8443/repos/acme/api", "destination"),
        (&agent, "GET http://api.github.com:443/repos/acme/api", "destination"),
        (&agent, "GET https://api.github.com.evil.test/repos/acme/api", "destination"),
        (&agent, "GET https://api.github.com/repos/acme/api/secrets/x", "except reads"),
        (&agent, "GET https://api.github.com/repos/acme/api/secrets", "except reads"),
        (&agent, "GET https://api.github.com/repos/acme/api/%73ecrets/x", "except reads"),
        (&agent, "GET https://api.github.com/repos/acme/api/x/../secrets", "the path has a dot segment"),
        (&agent, "GET https://api.github.com/repos/acme/api%2Fsecrets/x", "the path holds an encoded slash"),
        (&backup, "GET https://api.github.com/repos/acme/api/secrets/x", "backups other"),
        (&backup, "GET https://api.github.com/repos/acme/api", "request"),
        (&agent, "GET https://api.github.com/zen", "anybody"),
        (&nobody, "GET https://api.github.com/zen", "anybody"),
        (&nobody, "HEAD https://api.github.com/zen", "request"),
        (&nobody, "PROPFIND https://api.github.com/anything/1", "anybody"),
        (&nobody, "TRACE https://api.github.com/anything/1", "request"),
        (&nobody, "get https://api.github.com/zen", "request"),
        (&nobody, "GET https://gitlab.test:8443/projects/1/files/a", "caller"),
        (&agent, "GET https://gitlab.test:8443/projects/a%2Fb/files/src%2fmain.rs", "gitlab github"),
        (&agent, "GET https://gitlab.test:8443/projects/a%2Fb/files/src%2f..%2fmain.rs", "the path has a dot segment"),
        (&agent, "GET https://gitlab.test:8443/projects/a/tree", "gitlab-trees"),
        (&agent, "GET https://gitlab.test:8443/projects/a%2Fb/tree", "request"),
        (&agent, "GET https://gitlab.test:8443/projects/a%2Fb/files/key", "except gitlab-trees"),
        (&agent, "GET https://gitlab.test:8443/projects/a%2Fb/files/%2e%2e", "the path holds an encoded dot"),
        (&nobody, "DELETE https://docs.example.com/a/../b//c;d%2F", "docs"),
        (&nobody, "GET https://a.b.pages.example.com/", "pages"),
        (&nobody, "GET https://pages.example.com/", "destination"),
    ] {
        assert_eq!(decided(&policy, caller, request), outcome, "{request}");
    }
}

#[test]
fn two_credentials_on_one_request_are_refused_with_both_names() {
    let policy = policy(&POLICY.replace("GET /archive/**", "GET /repos/**"));
    let both = policy.recognise(&Caller { task: agent().task, ..backup() });
    assert_eq!(decided(&policy, &both, "GET https://api.github.com/repos/acme/api"), "ambiguous backups reads");
    assert_eq!(decided(&policy, &both, "GET https://api.github.com/repos/acme/api/secrets/x"), "except reads");
    assert_eq!(decided(&policy, &both, "GET https://api.github.com/repos/x"), "backups other");
}

#[test]
fn the_first_of_agreeing_rules_by_name_is_reported() {
    let two = POLICY.replace("  docs:\n", "  archive:\n    to: https://docs.example.com\n  docs:\n");
    assert_eq!(decided(&policy(&two), &Workloads::default(), "GET https://docs.example.com/"), "archive");
}

#[test]
fn a_connection_is_intercepted_wherever_a_rule_must_see_requests() {
    let policy = policy(POLICY);
    let connect = |caller: &Caller, authority: &str| {
        let (host, port) = keygress_policy::destination::parse_authority(authority).unwrap();
        match policy.connect(&policy.recognise(caller), &host, port.unwrap_or(443)) {
            Connect::Intercept => "intercept".to_owned(),
            Connect::Tunnel(rule) => format!("tunnel {}", rule.name),
            Connect::Denied(denial) => format!("{denial:?}"),
        }
    };
    let nobody = Caller::default();
    assert_eq!(connect(&agent(), "api.github.com"), "intercept");
    assert_eq!(connect(&nobody, "api.github.com"), "intercept");
    assert_eq!(connect(&nobody, "docs.example.com"), "tunnel docs");
    assert_eq!(connect(&nobody, "x.pages.example.com"), "tunnel pages");
    assert_eq!(connect(&nobody, "docs.example.com:80"), "UnknownDestination");
    assert_eq!(connect(&nobody, "other.test"), "UnknownDestination");
    assert_eq!(connect(&nobody, "gitlab.test:8443"), "Caller");
}

#[test]
fn callers_are_recognised_by_what_is_proven() {
    let policy = policy(POLICY);
    let name = |caller: &Caller| policy.workload_name(&policy.recognise(caller)).map(ToString::to_string);
    assert_eq!(name(&agent()).as_deref(), Some("agent"));
    assert_eq!(name(&backup()).as_deref(), Some("backup"));
    assert_eq!(name(&Caller::default()), None);
}

#[test]
fn routes_lead_to_exact_hosts() {
    let policy = policy(POLICY);
    let port = |name: &str| policy.route(name).map(|route| (route.host.to_string(), route.port));
    assert_eq!(port("lab"), Some(("gitlab.test".into(), 8443)));
    assert_eq!(port("gitlab.test"), Some(("gitlab.test".into(), 8443)));
    assert_eq!(port("gitlab.test:8443"), Some(("gitlab.test".into(), 8443)));
    assert_eq!(port("docs.example.com"), Some(("docs.example.com".into(), 443)));
    assert_eq!(port("x.pages.example.com"), None);
}

#[test]
fn raising_and_interception_follow_the_rules() {
    let policy = policy(POLICY);
    let raises = |host: &str| policy.raises(&Host::parse(host).unwrap());
    assert!(raises("a.pages.example.com"));
    assert!(!raises("pages.example.com"));
    assert!(!raises("docs.example.com"));
    let hosts: Vec<String> = policy.intercepted_hosts().iter().map(ToString::to_string).collect();
    assert_eq!(hosts, ["api.github.com", "gitlab.test"]);
}

#[test]
fn bodies_pass_unsearched_only_where_every_rule_with_the_credential_says_so() {
    let text = |second: &str| {
        format!(
            "version: 1
credentials:
  key: {{ owner: x, source: {{ exec: {{}} }}, inject: bearer, only_to: [api.example.com] }}
rules:
  a-loose: {{ from: any, to: 'https://api.example.com', allow: ['GET /files/**'], credential: key, unsafe_unscrubbed_body: true }}
  b-other: {{ from: any, to: 'https://api.example.com', allow: ['GET /files/{{name}}', 'GET /other'], {second} }}
"
        )
    };
    let unscrubbed = |second: &str, path: &str| {
        let policy = policy(&text(second));
        let host = Host::parse("api.example.com").unwrap();
        let (workloads, method) = (Workloads::default(), Method::GET);
        let question = Question { workloads: &workloads, scheme: Scheme::Https, host: &host, port: 443, method: &method, path };
        match policy.decide(&question) {
            Decision::Grant(grant) => grant.unscrubbed,
            other => panic!("{other:?}"),
        }
    };
    for (second, path, passes) in [
        ("credential: key", "/files/one", false),
        ("credential: key", "/files/one/two", true),
        ("credential: key", "/other", false),
        ("credential: key, unsafe_unscrubbed_body: true", "/files/one", true),
        // Without a credential there is nothing to search for.
        ("limit: { rate: 1/s }", "/files/one", true),
    ] {
        assert_eq!(unscrubbed(second, path), passes, "{second} {path}");
    }
}

#[test]
fn processes_are_looked_into_only_for_workloads_that_are_more_than_a_user() {
    assert!(!policy(POLICY).looks_into_processes());
    for more in ["unit: backup.service", "executable: /usr/bin/backup"] {
        let text = POLICY.replace("process: { uid: 7 }", &format!("process: {{ uid: 7, {more} }}"));
        assert!(policy(&text).looks_into_processes(), "{more}");
    }
}

#[test]
fn a_policy_knows_its_workloads_by_name() {
    let policy = policy(POLICY);
    assert!(policy.has_workload("agent") && policy.has_workload("backup"));
    assert!(!policy.has_workload("anybody"), "that is a rule");
    let backup = policy.recognise(&Caller {
        process: Some(Process { uid: 7, gid: None, pid: None, user: None, unit: None, container: None, executable: None }),
        ..Caller::default()
    });
    assert_eq!(policy.workload_names(&backup).map(|name| name.as_str()).collect::<Vec<_>>(), ["backup"]);
}
