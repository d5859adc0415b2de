//! Tasks that are opened at a running keygress, by a CI runner or the host of agents: each has a token, and an end.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::StatusCode;
use hyper::body::Incoming;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::task::AbortHandle;

use super::order::{self, refused};
use super::{Answer, json_answer};
use crate::audit::{Event, Kind};
use crate::caller::NewTask;
use crate::config;
use crate::credentials::Ended;
use crate::exchange::Shared;

/// Tasks that are open at once.
const TASKS_MAX: usize = 1024;

/// The longest time that a task may be given.
const DEADLINE_MAX: Duration = Duration::from_hours(7 * 24);

/// Labels of one task, and how long their keys and values may be, in bytes.
const LABELS_MAX: usize = 16;
const KEY_BYTES_MAX: usize = 64;
const VALUE_BYTES_MAX: usize = 256;

/// The tasks that were opened here and have not ended.
pub struct Tasks {
    shared: Arc<Shared>,
    /// Where callers that have a token find the proxy.
    proxy: Option<SocketAddr>,
    open: Mutex<BTreeMap<String, Open>>,
}

/// A task that is open.
struct Open {
    labels: BTreeMap<String, String>,
    opened: Timestamp,
    deadline: Timestamp,
    by: u32,
    /// Waits for the deadline.
    waiting: AbortHandle,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.waiting.abort();
    }
}

/// What a task is to be.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    #[serde(default)]
    labels: BTreeMap<String, String>,
    deadline: String,
}

/// Which task is meant.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Named {
    id: String,
}

impl Asked {
    /// How long the task has.
    fn time(&self) -> Result<Duration, String> {
        let time = config::duration(&self.deadline).map_err(|invalid| invalid.to_string())?;
        if time.is_zero() || time > DEADLINE_MAX {
            return Err(format!("a deadline is at least 1 ms and at most {} hours away", DEADLINE_MAX.as_secs() / 3600));
        }
        let fits = |text: &str, bytes_max| text.len() <= bytes_max && !text.chars().any(char::is_control);
        let labels = &self.labels;
        let is_label = |(key, value): (&String, &String)| !key.is_empty() && fits(key, KEY_BYTES_MAX) && fits(value, VALUE_BYTES_MAX);
        if labels.len() > LABELS_MAX || !labels.iter().all(is_label) {
            return Err(format!(
                "a task has at most {LABELS_MAX} labels: a key of 1 to {KEY_BYTES_MAX} bytes, a value of at most {VALUE_BYTES_MAX}, no control characters"
            ));
        }
        Ok(time)
    }
}

impl Tasks {
    /// None is open yet. `proxy` is where callers with a token go.
    #[must_use]
    pub fn new(shared: Arc<Shared>, proxy: Option<SocketAddr>) -> Arc<Self> {
        Arc::new(Self { shared, proxy, open: Mutex::default() })
    }

    /// `POST /tasks`: opens one. The answer is the only place where its token is ever seen.
    pub(super) async fn open(self: &Arc<Self>, uid: u32, body: Incoming) -> Answer {
        if let Some(stranger) = stranger(uid) {
            return stranger;
        }
        let asked = match order::read::<Asked>(body).await {
            Ok(asked) => asked,
            Err(answer) => return answer,
        };
        let time = match asked.time() {
            Ok(time) => time,
            Err(why) => return refused(&why),
        };
        let Ok(new) = NewTask::under(&self.shared.live.load().policy, asked.labels) else {
            return json_answer(StatusCode::SERVICE_UNAVAILABLE, &json!({ "error": "there is no randomness" }));
        };
        if self.is_full() {
            return full();
        }
        let task = &new.running.task;
        let labels = task.labels.iter().map(|(key, value)| format!(" {key}={value}")).collect::<String>();
        let event = Event {
            task: Some(task.id.as_str().into()),
            expires_in: Some(time.as_secs()),
            message: Some(format!("opened by uid {uid}:{labels}").into()),
            ..Event::new(Kind::TaskOpened)
        };
        if let Err(error) = self.shared.audit.durable(event).await {
            return json_answer(StatusCode::SERVICE_UNAVAILABLE, &json!({ "error": format!("the audit cannot record it: {error}") }));
        }
        self.begin(new, time, uid)
    }

    /// From here on nothing is awaited: whoever asked may be gone, and then the deadline ends what nobody knows of.
    fn begin(self: &Arc<Self>, new: NewTask, time: Duration, by: u32) -> Answer {
        let NewTask { running, token, placeholders } = new;
        let (id, labels) = (running.task.id.clone(), running.task.labels.clone());
        let opened = Timestamp::now();
        let deadline = opened.checked_add(time).unwrap_or(opened);
        let answer = json!({
            "id": id,
            "labels": labels,
            "deadline": format!("{deadline:.0}"),
            "token": *token,
            "proxy": self.proxy.map(|address| format!("http://task:{}@{address}", *token)),
            "placeholders": placeholders,
        });
        let mut open = self.still_open();
        if open.len() >= TASKS_MAX {
            return full();
        }
        let (tasks, of) = (Arc::downgrade(self), id.clone());
        let waiting = tokio::spawn(async move {
            tokio::time::sleep(time).await;
            if let Some(tasks) = tasks.upgrade() {
                drop(tasks.end(&of, "deadline"));
            }
        });
        open.insert(id, Open { labels, opened, deadline, by, waiting: waiting.abort_handle() });
        self.shared.callers.begin(running);
        json_answer(StatusCode::OK, &answer)
    }

    /// `POST /tasks/close`: ends one. Its token is refused from now on; answered when its leases are revoked or 5 s are over.
    pub(super) async fn close(self: &Arc<Self>, uid: u32, body: Incoming) -> Answer {
        if let Some(stranger) = stranger(uid) {
            return stranger;
        }
        let id = match order::read::<Named>(body).await {
            Ok(Named { id }) => id,
            Err(answer) => return answer,
        };
        let Some(ending) = self.end(&id, "closed") else {
            return json_answer(
                StatusCode::NOT_FOUND,
                &json!({ "error": "no task of this id is open: it was closed, or its deadline has passed" }),
            );
        };
        let Ended { revoked, dropped, failed } = ending.await.unwrap_or_default();
        json_answer(StatusCode::OK, &json!({ "id": id, "leases": { "revoked": revoked, "dropped": dropped, "failed": failed } }))
    }

    /// `GET /tasks`: names and times.
    pub(super) fn list(&self) -> Answer {
        let open = self.still_open();
        let tasks = open.iter().map(|(id, task)| {
            let left = task.deadline.as_second().saturating_sub(Timestamp::now().as_second());
            json!({
                "id": id,
                "labels": task.labels,
                "opened": format!("{:.0}", task.opened),
                "deadline": format!("{:.0}", task.deadline),
                "ends_in": left.max(0),
                "by": format!("uid {}", task.by),
            })
        });
        json_answer(StatusCode::OK, &json!({ "tasks": tasks.collect::<Vec<Value>>() }))
    }

    /// Ends a task, at once and also if nobody waits; `None` where it is not open.
    fn end(self: &Arc<Self>, id: &str, why: &'static str) -> Option<tokio::task::JoinHandle<Ended>> {
        self.still_open().remove(id)?;
        let (ending, shared, id) = (self.shared.end_task(id), Arc::clone(&self.shared), id.to_owned());
        Some(tokio::spawn(async move {
            let ended = ending.await;
            let Ended { revoked, dropped, failed } = ended;
            let message = format!("leases: {revoked} revoked, {dropped} dropped, {failed} failed to revoke");
            let event = Event { task: Some(id.into()), code: Some(why), message: Some(message.into()), ..Event::new(Kind::TaskClosed) };
            if let Err(error) = shared.audit.durable(event).await {
                tracing::error!(%error, "the audit could not record the end of a task");
            }
            ended
        }))
    }

    fn is_full(&self) -> bool {
        self.still_open().len() >= TASKS_MAX
    }

    /// What is open. What was revoked by hand has ended.
    fn still_open(&self) -> MutexGuard<'_, BTreeMap<String, Open>> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|id, _| self.shared.callers.is_running(id));
        open
    }
}

/// Tasks are for the user of keygress, and root, to open and close.
fn stranger(uid: u32) -> Option<Answer> {
    let is_ours = uid == 0 || uid == rustix::process::geteuid().as_raw();
    (!is_ours).then(|| json_answer(StatusCode::FORBIDDEN, &json!({ "error": "tasks are opened and closed by the user of keygress alone" })))
}

fn full() -> Answer {
    let error = format!("{TASKS_MAX} tasks are open, and there may be no more: close some");
    json_answer(StatusCode::INSUFFICIENT_STORAGE, &json!({ "error": error }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(json: &str) -> Result<Duration, String> {
        serde_json::from_str::<Asked>(json).map_err(|error| error.to_string())?.time()
    }

    #[test]
    fn a_task_has_a_deadline_and_few_labels() {
        assert_eq!(asked(r#"{"deadline":"30m","labels":{"kind":"ci"}}"#), Ok(Duration::from_mins(30)));
        assert_eq!(asked(r#"{"deadline":"168h"}"#), Ok(DEADLINE_MAX));
        for wrong in ["{}", r#"{"deadline":"0s"}"#, r#"{"deadline":"-1s"}"#, r#"{"deadline":"soon"}"#, r#"{"deadline":"169h"}"#] {
            assert!(asked(wrong).is_err(), "{wrong}");
        }
        let labelled = |key: &str, value: &str| asked(&json!({ "deadline": "1s", "labels": { key: value } }).to_string());
        assert!(labelled("kind", "").is_ok() && labelled("k", &"v".repeat(VALUE_BYTES_MAX)).is_ok());
        let (long_key, long) = ("k".repeat(KEY_BYTES_MAX + 1), "v".repeat(VALUE_BYTES_MAX + 1));
        for (key, value) in [("", "x"), ("a\n", "x"), ("a", "x\u{7f}"), (&long_key, "x"), ("a", &long)] {
            assert!(labelled(key, value).unwrap_err().contains("at most 16 labels"));
        }
        let many: BTreeMap<_, _> = (0..=LABELS_MAX).map(|number| (number.to_string(), "x")).collect();
        assert!(asked(&json!({ "deadline": "1s", "labels": many }).to_string()).is_err());
        assert!(asked(r#"{"deadline":"1s","id":"mine"}"#).is_err(), "an id is never the caller's to say");
    }

    #[test]
    fn tasks_are_for_the_user_of_keygress() {
        let own = rustix::process::geteuid().as_raw();
        assert!(stranger(0).is_none() && stranger(own).is_none());
        assert_eq!(stranger(own.wrapping_add(1).max(1)).unwrap().status(), StatusCode::FORBIDDEN);
    }
}
