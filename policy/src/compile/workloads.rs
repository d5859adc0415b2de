use std::collections::BTreeMap;

use super::check::{Check, Compiled, Named, Section};
use crate::destination::Host;
use crate::document::{At, JwtEntry, KubernetesEntry, MtlsEntry, ProcessEntry, TaskEntry, WorkloadEntry};
use crate::name::WorkloadName;
use crate::problem::Place;
use crate::workload::{PeerSelector, PodSelector, ProcessSelector, Selector, TokenSelector};

/// Length of a container id, in hexadecimal digits.
const CONTAINER_DIGITS: usize = 64;

/// Labels of one workload.
type Labels = BTreeMap<String, String>;

/// The labels stand beside the workloads, in the same order.
pub(super) fn compile(section: Section<WorkloadEntry>, check: &mut Check) -> (Compiled<(WorkloadName, Selector)>, Vec<Labels>) {
    let mut labels = Vec::new();
    let workloads = Compiled::of(section, check, |_, named, check| {
        let selector = selector(&named, check)?;
        let workload = (WorkloadName::from(named.name.as_str()), selector);
        labels.push(named.entry.labels);
        Some(workload)
    });
    (workloads, labels)
}

fn selector(named: &Named<WorkloadEntry>, check: &mut Check) -> Option<Selector> {
    let entry = &named.entry;
    let given = [entry.kubernetes.is_some(), entry.process.is_some(), entry.mtls.is_some(), entry.jwt.is_some(), entry.task.is_some()];
    if !given.contains(&true) {
        check.error(
            "empty_selector",
            named.place,
            format!("workload `{}` is recognised by nothing", named.name),
            "add `kubernetes:`, `process:`, `mtls:`, `jwt:` or `task:`; for every caller write `from: any` in the rule",
        );
        return None;
    }
    let clean = [
        entry.kubernetes.as_ref().is_none_or(|pod| check_pod(pod, named, check)),
        entry.process.as_ref().is_none_or(|process| check_process(&process.value, named.at(process), named, check)),
        entry.mtls.as_ref().is_none_or(|peer| check_peer(&peer.value, named.at(peer), named, check)),
        entry.jwt.as_ref().is_none_or(|token| check_token(&token.value, named.at(token), named, check)),
        entry.task.as_ref().is_none_or(|task| check_task(&task.value, named.at(task), check)),
    ];
    clean.iter().all(|clean| *clean).then(|| Selector {
        pod: entry.kubernetes.as_ref().map(|pod| PodSelector {
            namespace: pod.namespace.clone(),
            service_account: pod.service_account.clone(),
            pod: pod.pod.clone(),
        }),
        process: entry.process.as_ref().map(|process| process_selector(&process.value)),
        peer: entry.mtls.as_ref().map(|peer| peer_selector(&peer.value)),
        token: entry.jwt.as_ref().map(|token| token_selector(&token.value)),
        task: entry.task.as_ref().map(|task| task.value.labels.clone()),
    })
}

fn check_pod(pod: &KubernetesEntry, named: &Named<WorkloadEntry>, check: &mut Check) -> bool {
    let empty = [Some(&pod.namespace), Some(&pod.service_account), pod.pod.as_ref()].into_iter().flatten().any(String::is_empty);
    if empty {
        check.error(
            "empty_selector",
            named.place,
            format!("workload `{}` names a pod by an empty text", named.name),
            "fill it in, or leave the key out",
        );
    }
    !empty
}

fn check_process(process: &ProcessEntry, place: Place, named: &Named<WorkloadEntry>, check: &mut Check) -> bool {
    let owner = process.user.is_some() || process.uid.is_some() || process.unit.is_some() || process.container.is_some();
    if !owner {
        match &process.executable {
            Some(executable) => check.error(
                "advisory_selector",
                named.at(executable),
                format!("workload `{}` is recognised by its executable alone", named.name),
                "any process can run that file: add `user`, `uid`, `unit` or `container`",
            ),
            None => {
                check.error("empty_selector", place, "the process is recognised by nothing", "add `user`, `uid`, `unit` or `container`")
            }
        }
        return false;
    }
    let mut clean = true;
    if let (Some(_), Some(uid)) = (&process.user, &process.uid) {
        check.error("conflicting_keys", named.at(uid), "the process is named by `user` and by `uid`", "keep one of the two");
        clean = false;
    }
    if let Some(container) = process
        .container
        .as_ref()
        .filter(|id| id.value.len() != CONTAINER_DIGITS || !id.value.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')))
    {
        check.error(
            "bad_container",
            named.at(container),
            format!("`{}` is not the id of a container", container.value),
            "write all 64 hexadecimal digits, in lower case",
        );
        clean = false;
    }
    let texts = [process.user.as_ref(), process.unit.as_ref(), process.executable.as_ref().map(|path| &path.value)];
    if texts.into_iter().flatten().any(String::is_empty) {
        check.error("empty_selector", place, "the process is named by an empty text", "fill it in, or leave the key out");
        clean = false;
    }
    clean
}

fn check_peer(peer: &MtlsEntry, place: Place, named: &Named<WorkloadEntry>, check: &mut Check) -> bool {
    match (&peer.spiffe_id, &peer.dns_name) {
        (None, None) => {
            let help = "add the `spiffe_id` or a `dns_name` of its certificate: whom it speaks for is its own word";
            check.error("empty_selector", place, format!("workload `{}` names no certificate", named.name), help);
            return false;
        }
        (Some(_), Some(name)) => {
            check.error("conflicting_keys", named.at(name), "the peer is named by `spiffe_id` and by `dns_name`", "keep one of the two");
            return false;
        }
        (Some(id), None) if !is_spiffe_id(&id.value) => {
            let message = format!("`{}` is not a SPIFFE ID", id.value);
            check.error("bad_spiffe_id", named.at(id), message, "write it in full: `spiffe://trust-domain/path`");
            return false;
        }
        (None, Some(name)) if !is_dns_name(&name.value) => {
            let message = format!("`{}` is not a DNS name", name.value);
            check.error("bad_dns_name", named.at(name), message, "write one of the names of the certificate in full, in lower case");
            return false;
        }
        (Some(_), None) | (None, Some(_)) => {}
    }
    let empty = peer.workload.as_ref().filter(|workload| workload.value.is_empty());
    if let Some(workload) = empty {
        check.error("empty_selector", named.at(workload), "the workload has no name", "fill it in, or leave the key out");
    }
    empty.is_none()
}

/// SPIFFE ID: a scheme, a trust domain, and a path that is not empty.
fn is_spiffe_id(text: &str) -> bool {
    let Some((domain, path)) = text.strip_prefix("spiffe://").and_then(|rest| rest.split_once('/')) else { return false };
    let plain =
        |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'));
    plain(domain) && path.split('/').all(plain)
}

/// A name as certificates have it: no wildcard, no address.
fn is_dns_name(text: &str) -> bool {
    matches!(Host::parse(text), Ok(Host::Name(name)) if *name == *text)
}

fn peer_selector(peer: &MtlsEntry) -> PeerSelector {
    let text = |value: &Option<At<String>>| value.as_ref().map(|value| value.value.clone());
    PeerSelector { spiffe_id: text(&peer.spiffe_id), dns_name: text(&peer.dns_name), workload: text(&peer.workload) }
}

fn check_token(token: &JwtEntry, place: Place, named: &Named<WorkloadEntry>, check: &mut Check) -> bool {
    if token.subject.is_none() && token.claims.is_empty() {
        let message = format!("workload `{}` is everybody to whom this issuer gives a token", named.name);
        check.error("empty_selector", place, message, "add its `subject`, or `claims` that only it has");
        return false;
    }
    let texts = [Some(&token.issuer), token.subject.as_ref()]
        .into_iter()
        .flatten()
        .chain(token.claims.iter().flat_map(|(name, value)| [name, value]));
    let empty = texts.into_iter().any(String::is_empty);
    if empty {
        check.error("empty_selector", place, "the token is named by an empty text", "fill it in, or leave the key out");
        return false;
    }
    let registered = token.claims.keys().find(|name| matches!(name.as_str(), "iss" | "sub" | "aud" | "exp" | "nbf" | "iat" | "jti"));
    if let Some(name) = registered {
        let help = "`issuer` and `subject` have keys of their own; the audience and the times are checked for every token";
        check.error("bad_claim", place, format!("`{name}` is none of `claims`"), help);
    }
    registered.is_none()
}

fn token_selector(token: &JwtEntry) -> TokenSelector {
    TokenSelector { issuer: token.issuer.clone(), subject: token.subject.clone(), claims: token.claims.clone() }
}

fn check_task(task: &TaskEntry, place: Place, check: &mut Check) -> bool {
    let empty = task.labels.is_empty();
    if empty {
        check.error("empty_selector", place, "the task is recognised by nothing", "name at least one label under `labels:`");
    }
    !empty
}

fn process_selector(process: &ProcessEntry) -> ProcessSelector {
    ProcessSelector {
        user: process.user.clone(),
        uid: process.uid.as_ref().map(|uid| uid.value),
        unit: process.unit.clone(),
        container: process.container.as_ref().map(|container| container.value.clone()),
        executable: process.executable.as_ref().map(|executable| executable.value.clone()),
    }
}
