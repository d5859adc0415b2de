use std::cell::RefCell;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use keygress_policy::destination::Host;
use tokio::time::Instant;

use super::{About, Stops};
use crate::Credential;
use crate::caller::RunningTask;
use crate::refusal::Refusal;

/// Whom and what a running request concerns: by this it is found when something is stopped.
#[derive(Clone)]
pub struct Concern {
    /// Id of the request.
    pub request: u64,
    /// Policy generation under which it was granted.
    pub generation: u64,
    /// Which of the policy's workloads the caller is.
    pub workloads: Rc<[Arc<str>]>,
    /// Its task.
    pub task: Option<Arc<RunningTask>>,
    /// The rule that granted it.
    pub rule: Arc<str>,
    /// What is put on it.
    pub credential: Option<Arc<Credential>>,
    /// Where it goes.
    pub host: Host,
}

impl Concern {
    /// As far as a stop can name it.
    #[must_use]
    pub fn about(&self) -> About<'_> {
        About {
            workloads: &self.workloads,
            task: self.task.as_ref().map(|task| task.task.id.as_str()),
            host: &self.host,
            credential: self.credential.as_deref(),
        }
    }
}

/// It was ended from outside: see [`Ties::review`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut;

/// Everything that runs on one worker and may be ended from outside. Never crosses a thread, so it needs no lock.
#[derive(Default)]
pub struct Ties(RefCell<Places>);

#[derive(Default)]
struct Places {
    running: Vec<Option<Running>>,
    free: Vec<usize>,
}

struct Running {
    concern: Concern,
    waker: Option<Waker>,
    is_cut: bool,
    ends_at: Option<Instant>,
}

impl Ties {
    /// Ties a request down until the result is dropped. Allocates nothing where as many ran before.
    #[must_use]
    pub fn tie(self: &Rc<Self>, concern: Concern) -> Tie {
        let mut places = self.0.borrow_mut();
        let running = Some(Running { concern, waker: None, is_cut: false, ends_at: None });
        let at = match places.free.pop() {
            Some(at) => at,
            None => {
                places.running.push(None);
                places.running.len() - 1
            }
        };
        if let Some(place) = places.running.get_mut(at) {
            *place = running;
        }
        Tie { ties: Rc::clone(self), at }
    }

    /// Ends what must not go on: at once, or when the grace that `must_end` gives has passed and it still must not.
    pub fn review(&self, now: Instant, must_end: impl Fn(&Concern) -> Option<Duration>) -> Reviewed {
        let mut reviewed = Reviewed::default();
        let mut wakers = Vec::new();
        for running in self.0.borrow_mut().running.iter_mut().flatten().filter(|running| !running.is_cut) {
            let Some(grace) = must_end(&running.concern) else {
                running.ends_at = None;
                continue;
            };
            let ends_at = running.ends_at.map_or(now + grace, |before| before.min(now + grace));
            if ends_at > now {
                running.ends_at = Some(ends_at);
                reviewed.next = Some(reviewed.next.map_or(ends_at, |next| next.min(ends_at)));
                continue;
            }
            running.is_cut = true;
            wakers.extend(running.waker.take());
            reviewed.ended.push(running.concern.clone());
        }
        wakers.into_iter().for_each(Waker::wake);
        reviewed
    }
}

/// What a look through all that runs came to.
#[derive(Default)]
pub struct Reviewed {
    /// What was ended.
    pub ended: Vec<Concern>,
    /// When the first grace ends; `None` where nothing is left to end.
    pub next: Option<Instant>,
}

/// One request that runs. Dropping it unties it.
pub struct Tie {
    ties: Rc<Ties>,
    at: usize,
}

impl std::fmt::Debug for Tie {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tie").field("at", &self.at).finish_non_exhaustive()
    }
}

impl Tie {
    /// Whether it may go on. Where it may, the task of this context is woken when that changes.
    pub fn poll_cut(&self, cx: &Context<'_>) -> Poll<Cut> {
        let mut places = self.ties.0.borrow_mut();
        let Some(Some(running)) = places.running.get_mut(self.at) else { return Poll::Ready(Cut) };
        if running.is_cut {
            return Poll::Ready(Cut);
        }
        match &mut running.waker {
            Some(waker) if waker.will_wake(cx.waker()) => {}
            waker => *waker = Some(cx.waker().clone()),
        }
        Poll::Pending
    }

    /// Whether it was ended.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        self.ties.0.borrow().running.get(self.at).is_none_or(|place| place.as_ref().is_none_or(|running| running.is_cut))
    }

    /// Asks once more whether what it concerns is stopped: a stop is in force before the workers look through what runs.
    ///
    /// # Errors
    /// As [`Stops::check`].
    pub fn check(&self, stops: &Stops) -> Result<(), Refusal> {
        match self.ties.0.borrow().running.get(self.at) {
            Some(Some(running)) => stops.check(running.concern.about()),
            Some(None) | None => Ok(()),
        }
    }

    /// Runs this to its end, unless it is ended from outside first.
    ///
    /// # Errors
    /// [`Cut`].
    pub async fn unless_cut<F: Future>(&self, mut work: Pin<&mut F>) -> Result<F::Output, Cut> {
        poll_fn(|cx| match work.as_mut().poll(cx) {
            Poll::Ready(output) => Poll::Ready(Ok(output)),
            Poll::Pending => self.poll_cut(cx).map(Err),
        })
        .await
    }
}

impl Drop for Tie {
    fn drop(&mut self) {
        let gone = {
            let mut places = self.ties.0.borrow_mut();
            let gone = places.running.get_mut(self.at).and_then(Option::take);
            places.free.push(self.at);
            gone
        };
        // Dropped here, as nothing that it drops may find the table borrowed.
        drop(gone);
    }
}
