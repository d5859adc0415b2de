//! Events as they are put on record, for whoever listens (server-sent events).

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Response, StatusCode};
use http_body::{Body, Frame};
use http_body_util::Either;
use serde_json::json;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, mpsc};
use tokio::time::Instant;

use super::order::refused;
use super::{Admin, Reply, json_answer};
use crate::recent::{Batch, Filter};

/// Streams at once.
const STREAMS_MAX: usize = 8;

/// Events that a stream begins with, at most: the last ones that were kept.
const PAST_MAX: usize = 200;

/// Events of one stream a second; what is beyond is counted and told.
const EVENTS_PER_SECOND_MAX: usize = 100;

/// Pieces that may wait for a listener; then the stream waits for it, and the audit for nobody.
const PIECES_MAX: usize = 4;

/// A sign of life this often, by which a listener that is gone is noticed.
const ALIVE_EVERY: Duration = Duration::from_secs(10);

/// How many streams are open. Cheap to clone.
#[derive(Clone, Default)]
pub(super) struct Streams(Arc<AtomicUsize>);

/// One of them, until it is dropped.
struct Open(Streams);

impl Streams {
    fn open(&self) -> Option<Open> {
        let open = self.0.fetch_add(1, Ordering::AcqRel);
        let open = (open, Open(self.clone()));
        (open.0 < STREAMS_MAX).then_some(open.1)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// The body of a stream.
pub struct Events(mpsc::Receiver<Bytes>);

impl Body for Events {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(context).map(|piece| piece.map(|piece| Ok(Frame::data(piece))))
    }
}

/// `GET /events?matter=…&text=…`: those that were kept, then those to come, until the listener leaves.
pub(super) fn stream(admin: &Admin, query: Option<&str>) -> Reply {
    let filter = match Filter::of_query(query.unwrap_or_default()) {
        Ok(filter) => filter,
        Err(why) => return refused(&why).map(Either::Left),
    };
    let Some(open) = admin.streams.open() else {
        let error = format!("{STREAMS_MAX} listeners are there already: close one");
        return json_answer(StatusCode::SERVICE_UNAVAILABLE, &json!({ "error": error })).map(Either::Left);
    };
    let (past, batches) = admin.recent.listen();
    let (pieces, body) = mpsc::channel(PIECES_MAX);
    tokio::spawn(async move {
        follow(&filter, past, batches, pieces).await;
        drop(open);
    });
    let mut answer = Response::new(Either::Right(Events(body)));
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    answer
}

async fn follow(filter: &Filter, past: Vec<Batch>, mut batches: broadcast::Receiver<Batch>, pieces: mpsc::Sender<Bytes>) {
    let mut pace = Pace::new();
    if pieces.send(first(filter, &past)).await.is_err() {
        return;
    }
    drop(past);
    loop {
        let received = tokio::select! {
            received = tokio::time::timeout(ALIVE_EVERY, batches.recv()) => received,
            () = pieces.closed() => return,
        };
        let piece = match received {
            Ok(Ok(batch)) => pace.piece(filter, &batch),
            Ok(Err(RecvError::Lagged(missed))) => format!("event: behind\ndata: {missed}\n\n").into_bytes(),
            Ok(Err(RecvError::Closed)) => return,
            Err(_) => b": alive\n\n".to_vec(),
        };
        if !piece.is_empty() && pieces.send(piece.into()).await.is_err() {
            return;
        }
    }
}

/// What was kept, oldest first.
fn first(filter: &Filter, past: &[Batch]) -> Bytes {
    let wanted: Vec<_> = past.iter().flat_map(|batch| batch.iter()).filter(|written| filter.wants(&written.event)).collect();
    let mut out = b": events of keygress\n\n".to_vec();
    for written in wanted.iter().skip(wanted.len().saturating_sub(PAST_MAX)) {
        written.write_event(&mut out);
    }
    out.into()
}

/// How many events a stream has had in this second.
struct Pace {
    begun: Instant,
    sent: usize,
}

impl Pace {
    fn new() -> Self {
        Self { begun: Instant::now(), sent: 0 }
    }

    /// What is wanted of a batch, as far as the second has room for it; the rest is a number.
    fn piece(&mut self, filter: &Filter, batch: &Batch) -> Vec<u8> {
        if self.begun.elapsed() >= Duration::from_secs(1) {
            *self = Self::new();
        }
        let (mut out, mut skipped) = (Vec::new(), 0_u64);
        for written in batch.iter().filter(|written| filter.wants(&written.event)) {
            if self.sent < EVENTS_PER_SECOND_MAX {
                self.sent += 1;
                written.write_event(&mut out);
            } else {
                skipped += 1;
            }
        }
        if skipped > 0 {
            out.extend_from_slice(format!("event: skipped\ndata: {skipped}\n\n").as_bytes());
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::audit::{Event, Kind, Written};

    fn batch(count: usize) -> Batch {
        let event = || Event { message: Some("one\nline".into()), ..Event::new(Kind::Denied) };
        Arc::new((0..count).map(|_| Written { event: event(), time: Timestamp::UNIX_EPOCH }).collect())
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_too_much_for_a_second_is_a_number() {
        let (filter, mut pace) = (Filter::default(), Pace::new());
        let piece = String::from_utf8(pace.piece(&filter, &batch(EVENTS_PER_SECOND_MAX + 5))).unwrap();
        assert_eq!(piece.matches("data: {").count(), EVENTS_PER_SECOND_MAX);
        assert!(piece.ends_with("event: skipped\ndata: 5\n\n"), "{piece}");
        assert_eq!(pace.piece(&filter, &batch(1)), b"event: skipped\ndata: 1\n\n");
        tokio::time::advance(Duration::from_secs(1)).await;
        let piece = String::from_utf8(pace.piece(&filter, &batch(1))).unwrap();
        assert!(piece.starts_with("data: {") && piece.lines().count() == 2, "an event is one line, whatever it holds: {piece}");
    }

    #[test]
    fn streams_are_few_and_one_that_ends_makes_room() {
        let streams = Streams::default();
        let mut open: Vec<_> = (0..STREAMS_MAX).map(|_| streams.open().unwrap()).collect();
        assert!(streams.open().is_none() && streams.open().is_none());
        open.pop();
        assert!(streams.open().is_some());
    }

    #[test]
    fn a_stream_begins_with_the_last_that_were_kept() {
        let begun = String::from_utf8(first(&Filter::default(), &[batch(PAST_MAX), batch(3)]).to_vec()).unwrap();
        assert_eq!(begun.matches("data: {").count(), PAST_MAX);
    }
}
