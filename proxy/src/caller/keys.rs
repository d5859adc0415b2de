//! The keys of an issuer: a file, or what its URL answers.

use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use jsonwebtoken::jwk::JwkSet;
use tokio::sync::Mutex;

use super::jwt;

/// Keys that were read are used for this long without a look at where they come from: what an issuer withdraws is gone by then.
const FRESH: Duration = Duration::from_secs(300);

/// Where it cannot be read again, the keys before are used for this long.
const KEPT: Duration = Duration::from_secs(3600);

/// A token with a new key makes us look no more often than this: anybody can send one.
const LOOK_INTERVAL: Duration = Duration::from_secs(5);

/// The most of a file that is read.
const FILE_BYTES_MAX: u64 = 256 * 1024;

/// Asks a URL for what is there; on an error, why it does not answer.
pub type Ask = Box<dyn Fn() -> Asked + Send + Sync>;

/// What it answers.
pub type Asked = Pin<Box<dyn Future<Output = Result<Vec<u8>, String>> + Send>>;

/// Where the keys of an issuer are.
pub enum Place {
    /// A file, read again at every look.
    File(PathBuf),
    /// Its URL (`jwks_uri`), and how it is asked.
    Url(String, Ask),
}

/// The keys of one issuer.
pub(super) struct Keys {
    place: Place,
    held: ArcSwapOption<Held>,
    /// When they were last looked for; who looks has it.
    looked: Mutex<Option<Instant>>,
}

struct Held {
    keys: JwkSet,
    read: Instant,
}

impl Keys {
    pub(super) fn at(place: Place) -> Self {
        Self { place, held: ArcSwapOption::empty(), looked: Mutex::new(None) }
    }

    /// Calls `with` on the keys, and once more on those of a new look where it finds that a key is missing.
    ///
    /// # Errors
    /// As `with`; where there are no keys.
    pub(super) async fn try_with<T>(&self, with: impl Fn(&JwkSet) -> Result<T, jwt::Fault>) -> Result<T, &'static str> {
        let mut found = Err(jwt::Fault::UnknownKey);
        if let Some(held) = self.held.load_full().filter(|held| held.read.elapsed() < FRESH) {
            found = with(&held.keys);
        }
        if found.as_ref().is_err_and(|fault| *fault == jwt::Fault::UnknownKey) {
            self.look().await;
            let held = self
                .held
                .load_full()
                .filter(|held| held.read.elapsed() < KEPT)
                .ok_or("cannot be verified: its issuer's keys are not to be had")?;
            found = with(&held.keys);
        }
        found.map_err(jwt::Fault::why)
    }

    async fn look(&self) {
        let mut looked = self.looked.lock().await;
        if looked.is_some_and(|at| at.elapsed() < LOOK_INTERVAL) {
            return;
        }
        let read = self.read().await.and_then(|text| jwt::keys(&text));
        match read {
            Ok(keys) => self.held.store(Some(Arc::new(Held { keys, read: Instant::now() }))),
            Err(why) => tracing::warn!("the keys of an issuer at {}: {why}", self.name()),
        }
        *looked = Some(Instant::now());
    }

    async fn read(&self) -> Result<String, String> {
        match &self.place {
            Place::Url(_, ask) => {
                let body = ask().await?;
                String::from_utf8(body).map_err(|_| "they are not text".to_owned())
            }
            Place::File(path) => {
                let size = std::fs::metadata(path).map_err(|error| error.to_string())?.len();
                if size > FILE_BYTES_MAX {
                    return Err(format!("the file has {size} bytes, more than {FILE_BYTES_MAX}"));
                }
                std::fs::read_to_string(path).map_err(|error| error.to_string())
            }
        }
    }

    fn name(&self) -> String {
        match &self.place {
            Place::Url(url, _) => url.clone(),
            Place::File(path) => path.display().to_string(),
        }
    }
}
