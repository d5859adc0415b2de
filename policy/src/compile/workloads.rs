use super::check::{Check, Compiled, Named, Section};
use crate::document::{KubernetesEntry, ProcessEntry, TaskEntry, WorkloadEntry};
use crate::name::WorkloadName;
use crate::problem::Place;
use crate::workload::{PodSelector, ProcessSelector, Selector};

/// Length of a container id, in hexadecimal digits.
const CONTAINER_DIGITS: usize = 64;

pub(super) fn compile(section: Section<WorkloadEntry>, check: &mut Check) -> Compiled<(WorkloadName, Selector)> {
    Compiled::of(section, check, |_, named, check| {
        let selector = selector(&named, check)?;
        Some((WorkloadName::from(named.name.as_str()), selector))
    })
}

fn selector(named: &Named<WorkloadEntry>, check: &mut Check) -> Option<Selector> {
    let entry = &named.entry;
    if entry.kubernetes.is_none() && entry.process.is_none() && entry.task.is_none() {
        check.error(
            "empty_selector",
            named.place,
            format!("workload `{}` is recognised by nothing", named.name),
            "add `kubernetes:`, `process:` or `task:`; for every caller write `from: any` in the rule",
        );
        return None;
    }
    let clean = [
        entry.kubernetes.as_ref().is_none_or(|pod| check_pod(pod, named, check)),
        entry.process.as_ref().is_none_or(|process| check_process(&process.value, named.at(process), named, check)),
        entry.task.as_ref().is_none_or(|task| check_task(&task.value, named.at(task), check)),
    ];
    clean.iter().all(|clean| *clean).then(|| Selector {
        pod: entry.kubernetes.as_ref().map(|pod| PodSelector {
            namespace: pod.namespace.clone(),
            service_account: pod.service_account.clone(),
            pod: pod.pod.clone(),
        }),
        process: entry.process.as_ref().map(|process| process_selector(&process.value)),
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
