//! Where connections lie that rest: without what HTTP keeps for a request, which is most of what a connection takes.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};

use super::pace::{HEAD_TIMEOUT, REST_TIMEOUT};

/// A connection that rests for longer than this is laid by. Not shorter: what came behind the last request and is no whole head yet is
/// lost with it, and a head may take so long.
pub(super) const LAY_BY_AFTER: Duration = HEAD_TIMEOUT;

/// So many connections that were laid by leave memory worth giving back.
const WORTH_GIVING_BACK: usize = 256;

/// How long those that follow them are waited for.
const GIVE_BACK_AFTER: Duration = Duration::from_secs(5);

/// Takes the stream of a connection that is laid by.
pub(super) struct Berth<S>(Arc<Mutex<Option<S>>>);

impl<S> Clone for Berth<S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<S> Default for Berth<S> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<S: AsyncRead + Unpin> Berth<S> {
    /// Lays a stream by.
    pub(super) fn put(&self, stream: S) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(stream);
    }

    /// The stream that was laid by, if one was.
    pub(super) fn take(&self) -> Option<S> {
        let stream = self.0.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        give_back();
        Some(stream)
    }
}

/// The first byte of the next request; `None` where nothing comes any more.
pub(super) async fn wakes(stream: &mut (impl AsyncRead + Unpin)) -> Option<u8> {
    tokio::time::timeout(REST_TIMEOUT - LAY_BY_AFTER, stream.read_u8()).await.ok()?.ok()
}

/// Counts one that was laid by, and gives memory back when there were many: the allocator keeps what it once took, else.
fn give_back() {
    static LAID_BY: AtomicUsize = AtomicUsize::new(0);
    static IS_DUE: AtomicBool = AtomicBool::new(false);
    if LAID_BY.fetch_add(1, Ordering::Relaxed) < WORTH_GIVING_BACK || IS_DUE.swap(true, Ordering::Relaxed) {
        return;
    }
    tokio::task::spawn_local(async {
        tokio::time::sleep(GIVE_BACK_AFTER).await;
        LAID_BY.store(0, Ordering::Relaxed);
        IS_DUE.store(false, Ordering::Relaxed);
        tokio::task::spawn_blocking(trim);
    });
}

#[cfg(target_env = "gnu")]
fn trim() {
    // SAFETY: it takes no pointer, and any thread may call it at any time (malloc_trim(3)).
    unsafe { libc::malloc_trim(0) };
}

/// The allocator of the static binary gives memory back by itself.
#[cfg(not(target_env = "gnu"))]
fn trim() {}
