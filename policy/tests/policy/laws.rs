//! Laws of the decision, over made-up policies.

use std::collections::BTreeMap;
use std::fmt::Write;

use http::Method;
use keygress_policy::Policy;
use keygress_policy::decide::{Decision, Denial, Question};
use keygress_policy::destination::{Host, Scheme};
use keygress_policy::workload::{Caller, Task};
use proptest::prelude::*;
use proptest::sample::select;

use crate::provider::{Compiled, Provider, compile, files};

#[derive(Clone, Debug)]
struct Rule {
    from: Option<Vec<&'static str>>,
    host: &'static str,
    allow: Vec<String>,
    except: Vec<String>,
    credential: Option<&'static str>,
}

fn entry() -> impl Strategy<Value = String> {
    let segment = select(vec!["a", "b", "{x}"]);
    let path = (proptest::collection::vec(segment, 0..3), any::<bool>()).prop_map(|(segments, rest)| {
        let path: String = segments.iter().map(|segment| format!("/{segment}")).collect();
        if rest {
            format!("{path}/**")
        } else if path.is_empty() {
            "/".to_owned()
        } else {
            path
        }
    });
    (select(vec!["GET", "POST", "*"]), path).prop_map(|(method, path)| format!("{method} {path}"))
}

fn rule() -> impl Strategy<Value = Rule> {
    let from = proptest::option::of(proptest::collection::vec(select(vec!["one", "two"]), 1..3));
    let list = |range| proptest::collection::vec(entry(), range);
    let hosts = select(vec!["api.test.example", "*.test.example"]);
    (from, hosts, list(0..3), list(0..2), proptest::option::of(select(vec!["red", "blue"]))).prop_map(
        |(from, host, allow, except, credential)| {
            // A credential needs callers, entries and an exact host.
            let credential = credential.filter(|_| from.is_some() && !allow.is_empty() && !host.starts_with('*'));
            Rule { from, host, allow, except, credential }
        },
    )
}

/// Writes the rules in the order of `order`; the names are those of the positions in `rules`.
fn written(rules: &[Rule], order: &[usize]) -> String {
    let mut text = "version: 1\nworkloads:\n".to_owned();
    for name in ["one", "two"] {
        writeln!(text, "  {name}: {{ task: {{ labels: {{ {name}: '1' }} }} }}").unwrap();
    }
    text.push_str("credentials:\n");
    for name in ["red", "blue"] {
        writeln!(text, "  {name}: {{ owner: x, source: {{ exec: {{}} }}, inject: bearer, only_to: [api.test.example] }}").unwrap();
    }
    text.push_str("rules:\n");
    for index in order {
        let rule = &rules[*index];
        writeln!(text, "  r{index}:\n    to: https://{}", rule.host).unwrap();
        if let Some(from) = &rule.from {
            writeln!(text, "    from: [{}]", from.join(", ")).unwrap();
        }
        for (key, list) in [("allow", &rule.allow), ("except", &rule.except)] {
            if !list.is_empty() {
                writeln!(text, "    {key}: [{}]", list.iter().map(|entry| format!("'{entry}'")).collect::<Vec<_>>().join(", ")).unwrap();
            }
        }
        if let Some(credential) = rule.credential {
            writeln!(text, "    credential: {credential}").unwrap();
        }
    }
    text
}

fn compiled(text: &str) -> Compiled {
    compile(&files(&[("policy.yaml", text)]))
}

fn callers() -> Vec<Caller> {
    [vec![], vec!["one"], vec!["two"], vec!["one", "two"]]
        .into_iter()
        .map(|labels| {
            let labels = labels.into_iter().map(|label| (label.to_owned(), "1".to_owned())).collect::<BTreeMap<_, _>>();
            Caller { task: Some(Task { id: "1".into(), labels }), ..Caller::default() }
        })
        .collect()
}

/// Every outcome over a small world of callers, hosts, methods and paths.
fn outcomes(policy: &Policy<Provider>) -> Vec<(String, String)> {
    let mut outcomes = Vec::new();
    for (number, caller) in callers().iter().enumerate() {
        let workloads = policy.recognise(caller);
        for host in ["api.test.example", "x.test.example"] {
            let parsed = Host::parse(host).unwrap();
            for method in [Method::GET, Method::POST] {
                for path in ["/", "/a", "/a/", "/b", "/a/b", "/a/b/c", "/c/a", "/%61", "/a/../b"] {
                    let question =
                        Question { workloads: &workloads, scheme: Scheme::Https, host: &parsed, port: 443, method: &method, path };
                    outcomes.push((format!("{number} {method} {host}{path}"), outcome(&policy.decide(&question))));
                }
            }
        }
    }
    outcomes
}

fn outcome(decision: &Decision<'_, Provider>) -> String {
    match decision {
        Decision::Grant(grant) => format!("allow {} {:?}", grant.rule.name, grant.credential.map(|credential| credential.name.to_string())),
        Decision::Denied(Denial::Except(rule)) => format!("except {}", rule.name),
        Decision::Denied(Denial::Ambiguous(one, other)) => format!("ambiguous {} {}", one.name, other.name),
        Decision::Denied(other) => format!("{other:?}"),
    }
}

fn rules() -> impl Strategy<Value = Vec<Rule>> {
    proptest::collection::vec(rule(), 0..5)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_order_of_rules_never_changes_an_outcome(
        (rules, order) in rules().prop_flat_map(|rules| { let order: Vec<usize> = (0..rules.len()).collect(); (Just(rules), Just(order).prop_shuffle()) })
    ) {
        let in_order: Vec<usize> = (0..rules.len()).collect();
        match (compiled(&written(&rules, &in_order)), compiled(&written(&rules, &order))) {
            (Ok((policy, _)), Ok((shuffled, _))) => prop_assert_eq!(outcomes(&policy), outcomes(&shuffled)),
            (Err(problems), Err(shuffled)) => prop_assert_eq!(problems.len(), shuffled.len()),
            _ => prop_assert!(false, "one order compiles, the other does not"),
        }
    }

    #[test]
    fn an_except_never_allows_more(rules in rules(), at in any::<proptest::sample::Index>(), except in entry()) {
        prop_assume!(!rules.is_empty());
        let order: Vec<usize> = (0..rules.len()).collect();
        let mut narrowed = rules.clone();
        narrowed[at.index(rules.len())].except.push(except);
        if let (Ok((wide, _)), Ok((narrow, _))) = (compiled(&written(&rules, &order)), compiled(&written(&narrowed, &order))) {
            for ((request, before), (_, after)) in outcomes(&wide).into_iter().zip(outcomes(&narrow)) {
                prop_assert!(!after.starts_with("allow") || before == after, "{}: {} became {}", request, before, after);
            }
        }
    }

    #[test]
    fn the_decision_is_that_of_reading_every_rule(rules in rules()) {
        let order: Vec<usize> = (0..rules.len()).collect();
        let Ok((policy, _)) = compiled(&written(&rules, &order)) else { return Ok(()) };
        for (request, outcome) in outcomes(&policy) {
            let plain = plainly(&rules, &request);
            let kind = outcome.split_whitespace().next().unwrap();
            prop_assert!(plain.is_none_or(|allowed| allowed == (kind == "allow")), "{}: {}", request, outcome);
        }
    }
}

/// Whether a request is allowed, read rule by rule from the text; `None` for an ambiguous path.
fn plainly(rules: &[Rule], request: &str) -> Option<bool> {
    let mut words = request.splitn(3, ' ');
    let (caller, method, url) = (words.next()?, words.next()?, words.next()?);
    let (host, path) = url.split_at(url.find('/')?);
    let own: &[&str] = match caller {
        "0" => &[],
        "1" => &["one"],
        "2" => &["two"],
        _ => &["one", "two"],
    };
    let path = path.replace("%61", "a");
    if path.contains("..") {
        return None;
    }
    let here: Vec<&Rule> = rules
        .iter()
        .filter(|rule| rule.host == host || rule.host.starts_with('*'))
        .filter(|rule| rule.from.as_ref().is_none_or(|from| from.iter().any(|name| own.contains(name))))
        .collect();
    let matches = |entry: &String| {
        let (wanted, pattern) = entry.split_once(' ').unwrap();
        (wanted == "*" || wanted == method) && path_matches(pattern, &path)
    };
    let excepted = here.iter().any(|rule| rule.except.iter().any(matches));
    let allowing: Vec<&&Rule> = here.iter().filter(|rule| rule.allow.is_empty() || rule.allow.iter().any(matches)).collect();
    let credentials: std::collections::BTreeSet<_> = allowing.iter().filter_map(|rule| rule.credential).collect();
    Some(!excepted && !allowing.is_empty() && credentials.len() < 2)
}

fn path_matches(pattern: &str, path: &str) -> bool {
    let split = |path: &str| if path == "/" { Vec::new() } else { path[1..].split('/').map(str::to_owned).collect() };
    let (mut pattern, mut path): (Vec<String>, Vec<String>) = (split(pattern), split(path));
    if pattern.last().is_some_and(|last| last == "**") {
        pattern.pop();
        path.truncate(pattern.len());
    }
    pattern.len() == path.len() && pattern.iter().zip(&path).all(|(want, have)| if want == "{x}" { !have.is_empty() } else { want == have })
}

#[test]
fn nothing_matches_an_empty_policy() {
    let (policy, _) = compiled("version: 1\n").unwrap();
    assert!(outcomes(&policy).iter().all(|(_, outcome)| outcome == "UnknownDestination"));
}
