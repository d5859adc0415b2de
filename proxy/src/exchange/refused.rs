use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::Poll;
use std::time::Instant;

use keygress_policy::Rule;
use keygress_policy::decide::{Decision, Denial, Grant};
use keygress_policy::inject::SlotRefusal;

use super::{Line, Sight};
use crate::body::Unread;
use crate::credentials::{Source, Unavailable};
use crate::refusal::{Code, Refusal};

/// A panic is the end of one request, not of its connection, on which others may run.
pub fn unpanicked<T>(step: impl FnOnce() -> T) -> Result<T, Refusal> {
    catch_unwind(AssertUnwindSafe(step)).map_err(|_panic| Refusal::new(Code::Internal, "a step of it panicked"))
}

/// As [`unpanicked`], for a step that waits. Pinned by the caller, as to hand it on would move kilobytes for each request.
pub(super) async fn guarded<T>(mut step: Pin<&mut impl Future<Output = Result<T, Refusal>>>) -> Result<T, Refusal> {
    std::future::poll_fn(|cx| unpanicked(|| step.as_mut().poll(cx)).unwrap_or_else(|refusal| Poll::Ready(Err(refusal)))).await
}

pub(super) fn permitted(decision: Decision<'_, Source>) -> Result<Grant<'_, Source>, Refusal> {
    match decision {
        Decision::Grant(grant) => Ok(grant),
        Decision::Denied(denial) => Err(denied(&denial)),
    }
}

/// Counts the request against the rate of its rule, and against what a caller is left after an alert.
pub(super) fn counted(line: &Line, sight: &Sight, rule: &Rule) -> Result<(), Refusal> {
    let limits = &line.shared().limits;
    let (workload, task) = (sight.workload.as_deref(), sight.task_id());
    if rule.limit.is_some() {
        let count = limits.count(rule, workload, task, Instant::now());
        count.map_err(|seconds| {
            Refusal::new(Code::RateLimited, "the rule's rate is used up").by_rule(&rule.name).retry_after(Some(seconds))
        })?;
    }
    if limits.throttles() {
        let throttled = limits.throttled(workload, task, Instant::now());
        let text = "the caller is throttled after an alert";
        throttled.map_err(|seconds| Refusal::new(Code::RateLimited, text).by_rule(&rule.name).retry_after(Some(seconds)))?;
    }
    Ok(())
}

pub(super) fn denied(denial: &Denial<'_>) -> Refusal {
    match denial {
        Denial::UnknownDestination => Refusal::new(Code::UnknownDestination, "no rule of the policy names this destination"),
        Denial::Caller => Refusal::new(Code::CallerNotAllowed, "rules name this destination, but none for this caller"),
        Denial::Request => Refusal::new(Code::NotAllowed, "rules name this destination and caller, but none this method and path"),
        Denial::Except(rule) => Refusal::new(Code::Excepted, "an `except` names this request").by_rule(&rule.name),
        Denial::Minting(rule) => {
            Refusal::new(Code::Minting, "its answer would be a new credential, and no rule names the request in full").by_rule(&rule.name)
        }
        Denial::Ambiguous(one, other) => {
            Refusal::new(Code::Ambiguous, format!("`{}` and `{}` put different credentials on it", one.name, other.name)).by_rule(&one.name)
        }
        Denial::Path(why) => Refusal::new(Code::PathAmbiguous, *why),
    }
}

pub(super) fn no_credential(grant: &Grant<'_, Source>, unavailable: Unavailable) -> Refusal {
    let name = grant.credential.map_or("", |credential| credential.name.as_str());
    Refusal::new(Code::NoCredential, format!("`{name}`: {}", unavailable.reason))
        .by_rule(&grant.rule.name)
        .retry_after(unavailable.retry_after)
}

pub(super) fn not_read(unread: &Unread) -> Refusal {
    match unread {
        Unread::TooLarge(bytes_max) => Refusal::new(Code::BodyTooLarge, format!("the body is larger than {} KiB", bytes_max / 1024)),
        Unread::Broken(_) => Refusal::new(Code::BadRequest, "the body ended early"),
    }
}

pub(super) fn slot_refused(grant: &Grant<'_, Source>, refusal: SlotRefusal) -> Refusal {
    let detail = match refusal {
        SlotRefusal::Unreadable(why) => return Refusal::new(Code::BadRequest, why).by_rule(&grant.rule.name),
        SlotRefusal::Occupied => "the slot must be empty, and the application filled it",
        SlotRefusal::NotThePlaceholder => "the slot must hold this task's placeholder",
    };
    Refusal::new(Code::SlotRefused, detail).by_rule(&grant.rule.name)
}
