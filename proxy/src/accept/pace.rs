//! How long a caller may take: for the head of a request, and between requests.
//!
//! hyper has one timer for both (`header_read_timeout`), which would either close resting connections or let a head trickle in.

use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

use super::berth::{Berth, LAY_BY_AFTER};
use crate::worker::Pace;

/// How long the head of a request may take from its first byte.
pub(super) const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a caller may refuse to take what is written.
pub(super) const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a connection may rest between requests.
pub(super) const REST_TIMEOUT: Duration = Duration::from_secs(300);

/// A stream that fails where a head takes longer than [`HEAD_TIMEOUT`] or a rest longer than [`REST_TIMEOUT`]. One that has a berth ends
/// where it rests for [`LAY_BY_AFTER`], and lies there from then on.
pub(super) struct Paced<S: AsyncRead + Unpin> {
    /// `None` once it is laid by.
    stream: Option<S>,
    berth: Option<Berth<S>>,
    is_laid_by: bool,
    /// What was read of the next request while it lay by.
    first: Option<u8>,
    pace: Pace,
    heads: Heads,
    /// The requests that were seen.
    begun: u64,
    waits_for: Waits,
    /// When what it waits for must be there.
    deadline: Instant,
    alarm: Alarm,
    /// Runs while a write stands still.
    stalled: Option<Pin<Box<Sleep>>>,
}

/// Whether bytes that come between requests are the beginning of a head.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Heads {
    /// HTTP/1.1: they can be nothing else.
    Timed,
    /// HTTP/2: pings and window updates come at any time, and its heads are bounded in size; a rest alone is timed.
    Untimed,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Waits {
    /// Nothing: a request is being served.
    Serving,
    /// The first byte of a head.
    Resting,
    /// The same, where something of the last request is still under way: such a connection is not laid by.
    Lingering,
    /// The rest of a head.
    Head,
}

impl<S: AsyncRead + Unpin> Paced<S> {
    pub(super) fn new(stream: S, pace: Pace, heads: Heads) -> Self {
        // The first head counts from the beginning: a connection is opened to say something.
        Self::with_first(stream, pace, heads, HEAD_TIMEOUT)
    }

    /// The first head must be there within this time.
    pub(super) fn with_first(stream: S, pace: Pace, heads: Heads, first: Duration) -> Self {
        let (deadline, stream) = (Instant::now() + first, Some(stream));
        let (berth, is_laid_by, first, begun) = (None, false, None, pace.begun());
        let (waits_for, alarm, stalled) = (Waits::Head, Alarm::at(deadline), None);
        Self { stream, berth, is_laid_by, first, pace, heads, begun, waits_for, deadline, alarm, stalled }
    }

    /// Lies in this berth when it rests.
    pub(super) fn lying_in(mut self, berth: &Berth<S>) -> Self {
        self.berth = Some(berth.clone());
        self
    }

    /// Goes on with the byte that woke it.
    pub(super) fn woken_by(mut self, first: u8) -> Self {
        self.first = Some(first);
        self
    }

    fn rest(&self) -> Duration {
        if self.berth.is_some() { LAY_BY_AFTER } else { REST_TIMEOUT }
    }

    /// The outcome of a write, or an error where writing has stood still for [`WRITE_TIMEOUT`].
    fn written<T>(&mut self, cx: &mut Context<'_>, outcome: Poll<std::io::Result<T>>) -> Poll<std::io::Result<T>> {
        if outcome.is_ready() {
            self.stalled = None;
            return outcome;
        }
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(tokio::time::sleep(WRITE_TIMEOUT)));
        stalled.as_mut().poll(cx).map(|()| Err(std::io::ErrorKind::TimedOut.into()))
    }

    fn wait_for(&mut self, next: Waits, limit: Duration) {
        self.waits_for = next;
        self.deadline = Instant::now() + limit;
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Paced<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        if let Some(first) = self.first.take() {
            buffer.put_slice(&[first]);
            return Poll::Ready(Ok(()));
        }
        let Some(stream) = &mut self.stream else { return Poll::Ready(Ok(())) };
        let read = Pin::new(stream).poll_read(cx, buffer);
        // A request may have been answered since at once.
        let begun = self.pace.begun();
        if begun != self.begun || self.pace.is_serving() {
            self.begun = begun;
            self.waits_for = Waits::Serving;
        }
        if self.pace.is_serving() {
            return read;
        }
        match (self.waits_for, read.is_ready()) {
            (Waits::Serving, false) => {
                let rest = self.rest();
                self.wait_for(Waits::Resting, rest);
            }
            (Waits::Serving | Waits::Resting | Waits::Lingering, true) if self.heads == Heads::Timed => {
                self.wait_for(Waits::Head, HEAD_TIMEOUT);
            }
            (Waits::Serving | Waits::Resting | Waits::Lingering | Waits::Head, _) => {}
        }
        if read.is_ready() {
            return read;
        }
        let deadline = self.deadline;
        ready!(self.alarm.poll(cx, deadline));
        if self.waits_for == Waits::Resting && self.berth.is_some() {
            // An answer that the caller has not taken yet would be lost, and the rest of a body be read as a request.
            if self.stalled.is_none() && !self.pace.is_reading() {
                // HTTP takes it for the end of the connection, and lets go of it.
                self.is_laid_by = true;
                return Poll::Ready(Ok(()));
            }
            self.wait_for(Waits::Lingering, REST_TIMEOUT - LAY_BY_AFTER);
            let deadline = self.deadline;
            ready!(self.alarm.poll(cx, deadline));
        }
        Poll::Ready(Err(std::io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> Drop for Paced<S> {
    fn drop(&mut self) {
        if let (true, Some(berth), Some(stream)) = (self.is_laid_by, &self.berth, self.stream.take()) {
            berth.put(stream);
        }
    }
}

/// A timer whose deadline moves with every request, and which is set again only where it would ring too late or has rung too early:
/// to set it costs more than the rest of this file.
struct Alarm {
    sleep: Pin<Box<Sleep>>,
    waker: Option<Waker>,
}

impl Alarm {
    fn at(deadline: Instant) -> Self {
        Self { sleep: Box::pin(tokio::time::sleep_until(deadline)), waker: None }
    }

    fn poll(&mut self, cx: &mut Context<'_>, deadline: Instant) -> Poll<()> {
        if deadline < self.sleep.deadline() {
            self.sleep.as_mut().reset(deadline);
            self.waker = None;
        }
        if self.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) && !self.sleep.is_elapsed() {
            return Poll::Pending;
        }
        self.waker = Some(cx.waker().clone());
        while self.sleep.as_mut().poll(cx).is_ready() {
            if Instant::now() >= deadline {
                return Poll::Ready(());
            }
            self.sleep.as_mut().reset(deadline);
        }
        Poll::Pending
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Paced<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        let Some(stream) = &mut self.stream else { return Poll::Ready(Err(std::io::ErrorKind::BrokenPipe.into())) };
        let outcome = Pin::new(stream).poll_write(cx, bytes);
        self.written(cx, outcome)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        let Some(stream) = &mut self.stream else { return Poll::Ready(Ok(())) };
        let outcome = Pin::new(stream).poll_flush(cx);
        self.written(cx, outcome)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        if self.is_laid_by {
            return Poll::Ready(Ok(()));
        }
        let Some(stream) = &mut self.stream else { return Poll::Ready(Ok(())) };
        Pin::new(stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[std::io::IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        let Some(stream) = &mut self.stream else { return Poll::Ready(Err(std::io::ErrorKind::BrokenPipe.into())) };
        let outcome = Pin::new(stream).poll_write_vectored(cx, slices);
        self.written(cx, outcome)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.as_ref().is_some_and(AsyncWrite::is_write_vectored)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::super::berth;
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_head_that_trickles_in_is_cut_off_and_a_resting_connection_is_not() {
        let (mut caller, stream) = tokio::io::duplex(64);
        let pace = Pace::default();
        let mut paced = Paced::new(stream, pace.clone(), Heads::Timed);
        let mut byte = [0_u8; 1];
        caller.write_all(b"GE").await.unwrap();
        paced.read_exact(&mut byte).await.unwrap();
        let serving = pace.serving();
        paced.read_exact(&mut byte).await.unwrap();
        let before = Instant::now();
        let ((), read) = tokio::join!(
            async {
                tokio::time::sleep(2 * HEAD_TIMEOUT).await;
                drop(serving);
                caller.write_all(b"G").await.unwrap()
            },
            paced.read_exact(&mut byte)
        );
        read.unwrap();
        assert_eq!(before.elapsed().as_secs(), 20);
        let stalled = paced.read_exact(&mut byte).await.unwrap_err();
        assert_eq!(stalled.kind(), std::io::ErrorKind::TimedOut);
        assert_eq!(before.elapsed().as_secs(), 30);
    }

    #[tokio::test(start_paused = true)]
    async fn what_rests_is_laid_by_and_goes_on_with_what_woke_it() {
        let (mut caller, stream) = tokio::io::duplex(64);
        let (pace, berth) = (Pace::default(), Berth::default());
        let mut paced = Paced::new(stream, pace.clone(), Heads::Timed).lying_in(&berth);
        let mut read = [0_u8; 4];
        caller.write_all(b"GET ").await.unwrap();
        paced.read_exact(&mut read).await.unwrap();
        drop(pace.serving());
        let serving = pace.serving();
        assert!(futures_util::FutureExt::now_or_never(paced.read_u8()).is_none());
        drop(serving);
        let before = Instant::now();
        assert_eq!(paced.read(&mut read).await.unwrap(), 0, "HTTP sees the end");
        assert_eq!(before.elapsed(), LAY_BY_AFTER);
        paced.shutdown().await.unwrap();
        drop(paced);
        caller.write_all(b"PUT ").await.unwrap();
        let mut stream = berth.take().unwrap();
        let first = berth::wakes(&mut stream).await.unwrap();
        let mut paced = Paced::new(stream, pace, Heads::Timed).lying_in(&berth).woken_by(first);
        paced.read_exact(&mut read).await.unwrap();
        assert_eq!(&read, b"PUT ");
        drop(paced);
        assert!(berth.take().is_none(), "it was not at rest");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_no_head_neither_shortens_nor_prolongs_a_rest() {
        let (mut caller, stream) = tokio::io::duplex(64);
        let pace = Pace::default();
        let mut paced = Paced::new(stream, pace.clone(), Heads::Untimed);
        let mut byte = [0_u8; 1];
        caller.write_all(b"P").await.unwrap();
        paced.read_exact(&mut byte).await.unwrap();
        let serving = pace.serving();
        let ((), cut) = tokio::join!(
            async {
                tokio::time::sleep(2 * HEAD_TIMEOUT).await;
                drop(serving);
                for _ in 0..20 {
                    caller.write_all(b".").await.unwrap();
                    tokio::time::sleep(HEAD_TIMEOUT * 2).await;
                }
            },
            async {
                // The pace is looked at when something is read: the first ping begins the rest.
                paced.read_exact(&mut byte).await.unwrap();
                let rests_since = Instant::now();
                while paced.read_exact(&mut byte).await.is_ok() {}
                rests_since.elapsed()
            }
        );
        assert_eq!(cut, REST_TIMEOUT);
    }

    #[tokio::test(start_paused = true)]
    async fn a_caller_that_takes_nothing_is_cut_off() {
        let (_caller, stream) = tokio::io::duplex(8);
        let mut paced = Paced::new(stream, Pace::default(), Heads::Timed);
        let before = Instant::now();
        let stalled = paced.write_all(&[0; 64]).await.unwrap_err();
        assert_eq!(stalled.kind(), std::io::ErrorKind::TimedOut);
        assert_eq!(before.elapsed(), WRITE_TIMEOUT);
    }
}
