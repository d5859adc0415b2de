use std::fmt;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use http::StatusCode;
use tokio::sync::Notify;
use tokio::time::Instant;
use zeroize::Zeroizing;

use super::Refused;

/// How long the link waits to be opened.
pub const LINK_TIME: Duration = Duration::from_mins(2);

/// How long a session lasts without a request.
pub const IDLE_TIME: Duration = Duration::from_mins(30);

/// How long a session lasts.
const SESSION_TIME: Duration = Duration::from_hours(12);

/// Random bytes of a token.
const TOKEN_BYTES: usize = 32;

/// Something that nobody can guess, as text.
pub(super) type Token = Zeroizing<String>;

/// The one session of this process, from the link that begins it to its end.
pub(super) struct Session {
    state: Mutex<State>,
    ended: Notify,
}

enum State {
    /// The link waits.
    Waiting { key: Token, until: Instant },
    /// It was opened.
    Open(Open),
    /// Nothing opens it again.
    Over(Ending),
}

struct Open {
    proofs: Proofs,
    /// Whose browser it is, as the kernel says; `None` where it does not.
    user: Option<u32>,
    idle_at: Instant,
    until: Instant,
}

/// What the browser shows from then on: both, with every request.
pub(super) struct Proofs {
    /// Kept by the browser, out of reach of scripts.
    pub(super) cookie: Token,
    /// Kept by the page, out of reach of other servers.
    pub(super) bearer: Token,
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Nobody opened the link in time.
    Unopened,
    /// Nothing was asked for [`IDLE_TIME`].
    Idle,
    /// It lasted as long as a session may.
    Old,
    /// Somebody ended it on the page.
    Closed,
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unopened => "nobody opened the link",
            Self::Idle => "nothing was asked for half an hour",
            Self::Old => "twelve hours are over",
            Self::Closed => "it was closed on the page",
        })
    }
}

impl Session {
    /// A link that waits, and its key.
    ///
    /// # Errors
    /// Where there is no randomness.
    pub(super) fn new() -> io::Result<(Self, Token)> {
        let key = token()?;
        let state = State::Waiting { key: key.clone(), until: Instant::now() + LINK_TIME };
        Ok((Self { state: Mutex::new(state), ended: Notify::new() }, key))
    }

    /// Exchanges the key of the link, once, within its time.
    ///
    /// # Errors
    /// Where it is not the key, or the link was opened before. A wrong key does not use the link up.
    pub(super) fn open(&self, shown: &str, user: Option<u32>) -> Result<Proofs, Refused> {
        let mut state = self.state();
        let State::Waiting { key, .. } = &*state else {
            return Err(Refused::new(StatusCode::FORBIDDEN, "this link was opened before, and opens once: run `keygress ui` again"));
        };
        if !is_same(key, shown) {
            return Err(Refused::new(StatusCode::FORBIDDEN, "this is not the link of this page: run `keygress ui` again"));
        }
        let no_randomness = |_| Refused::new(StatusCode::SERVICE_UNAVAILABLE, "there is no randomness");
        let (proofs, kept) = Proofs::twice().map_err(no_randomness)?;
        let now = Instant::now();
        *state = State::Open(Open { proofs: kept, user, idle_at: now + IDLE_TIME, until: now + SESSION_TIME });
        drop(state);
        self.ended.notify_waiters();
        Ok(proofs)
    }

    /// Lets a request of the open session through, which goes on by it.
    ///
    /// # Errors
    /// Where a proof is missing or wrong, or the connection is that of another user of this machine than the one who opened the link.
    pub(super) fn admit(&self, cookie: Option<&str>, bearer: Option<&str>, user: Option<u32>) -> Result<(), Refused> {
        let refused = Refused::new(StatusCode::UNAUTHORIZED, "there is no session: run `keygress ui`, and open its link");
        let mut state = self.state();
        let State::Open(open) = &mut *state else { return Err(refused) };
        // Both are looked at, whatever the first comes to.
        let (cookie, bearer) =
            (is_same(&open.proofs.cookie, cookie.unwrap_or_default()), is_same(&open.proofs.bearer, bearer.unwrap_or_default()));
        if !(cookie & bearer) {
            return Err(refused);
        }
        if open.user != user {
            return Err(Refused::new(StatusCode::FORBIDDEN, "another user of this machine opened the link"));
        }
        open.idle_at = Instant::now() + IDLE_TIME;
        Ok(())
    }

    /// Ends it.
    pub(super) fn close(&self) {
        *self.state() = State::Over(Ending::Closed);
        self.ended.notify_waiters();
    }

    /// Returns when it has ended, by hand or by its time.
    pub(super) async fn ended(&self) -> Ending {
        loop {
            let changed = self.ended.notified();
            let due = match self.due() {
                Ok(due) => due,
                Err(ending) => return ending,
            };
            tokio::select! {
                () = changed => {}
                () = tokio::time::sleep_until(due) => {}
            }
        }
    }

    /// When it ends by itself, as things stand; or how it has ended.
    fn due(&self) -> Result<Instant, Ending> {
        let mut state = self.state();
        let (due, ending) = match &*state {
            State::Waiting { until, .. } => (*until, Ending::Unopened),
            State::Open(open) if open.idle_at < open.until => (open.idle_at, Ending::Idle),
            State::Open(open) => (open.until, Ending::Old),
            State::Over(ending) => return Err(*ending),
        };
        if Instant::now() < due {
            return Ok(due);
        }
        *state = State::Over(ending);
        Err(ending)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Proofs {
    /// Fresh ones: for the browser, and to keep.
    fn twice() -> io::Result<(Self, Self)> {
        let (cookie, bearer) = (token()?, token()?);
        Ok((Self { cookie: cookie.clone(), bearer: bearer.clone() }, Self { cookie, bearer }))
    }
}

fn token() -> io::Result<Token> {
    let mut bytes = Zeroizing::new([0; TOKEN_BYTES]);
    aws_lc_rs::rand::fill(&mut *bytes).map_err(|_| io::Error::other("there is no randomness"))?;
    Ok(Zeroizing::new(BASE64_URL_SAFE_NO_PAD.encode(*bytes)))
}

/// Takes the same time wherever they differ.
fn is_same(kept: &Token, shown: &str) -> bool {
    verify_slices_are_equal(kept.as_bytes(), shown.as_bytes()).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ME: Option<u32> = Some(1000);

    #[tokio::test(start_paused = true)]
    async fn the_link_opens_once_and_a_wrong_key_does_not_use_it_up() {
        let (session, key) = Session::new().unwrap();
        assert!(session.admit(Some(""), Some(""), ME).is_err(), "nothing is open yet");
        assert_eq!(session.open("wrong", ME).err().unwrap().status, StatusCode::FORBIDDEN);
        assert!(session.open(&key, ME).is_ok());
        let again = session.open(&key, ME).err().unwrap();
        assert!(again.status == StatusCode::FORBIDDEN && again.why.contains("opened before"), "{again:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn both_proofs_are_needed_and_from_the_same_user() {
        let (session, key) = Session::new().unwrap();
        let Proofs { cookie, bearer } = session.open(&key, ME).unwrap();
        let status = |cookie: Option<&str>, bearer: Option<&str>, user| {
            session.admit(cookie, bearer, user).map_err(|refused| refused.status.as_u16())
        };
        assert_eq!(status(Some(&cookie), Some(&bearer), ME), Ok(()));
        for (shown, held) in
            [(None, Some(&*bearer)), (Some(&*cookie), None), (None, None), (Some(&*bearer), Some(&*cookie)), (Some(&*key), Some(&*key))]
        {
            assert_eq!(status(shown.map(String::as_str), held.map(String::as_str), ME), Err(401));
        }
        assert_eq!(status(Some(&cookie), Some(&bearer), Some(1001)), Err(403));
        assert_eq!(status(Some(&cookie), Some(&bearer), None), Err(403));
        session.close();
        assert_eq!(status(Some(&cookie), Some(&bearer), ME), Err(401));
        assert_eq!(session.ended().await, Ending::Closed);
    }

    #[tokio::test(start_paused = true)]
    async fn a_link_that_nobody_opens_is_void() {
        let (session, key) = Session::new().unwrap();
        let begun = Instant::now();
        assert_eq!(session.ended().await, Ending::Unopened);
        assert_eq!(begun.elapsed().as_secs(), LINK_TIME.as_secs());
        assert!(session.open(&key, ME).is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_session_ends_when_nothing_is_asked_and_after_a_day_of_work() {
        let (session, key) = Session::new().unwrap();
        let Proofs { cookie, bearer } = session.open(&key, ME).unwrap();
        let begun = Instant::now();
        let asking = async {
            while begun.elapsed() < SESSION_TIME * 2 {
                tokio::time::sleep(Duration::from_mins(20)).await;
                if session.admit(Some(&cookie), Some(&bearer), ME).is_err() {
                    break;
                }
            }
        };
        let (ending, ()) = tokio::join!(session.ended(), asking);
        assert_eq!((ending, begun.elapsed().as_secs() / 3600), (Ending::Old, 12));

        let (session, key) = Session::new().unwrap();
        session.open(&key, ME).unwrap();
        let begun = Instant::now();
        assert_eq!(session.ended().await, Ending::Idle);
        assert_eq!(begun.elapsed().as_secs(), IDLE_TIME.as_secs());
    }
}
