//! 1 · Connections in. Every way in ends in `exchange`.

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener};
use tokio::runtime::LocalOptions;
use tokio::sync::watch;

/// What a request must be before anything is asked of the policy.
pub mod gate;

/// The reserved routes at which SDKs ask for their own credentials.
mod stand_in;

/// HTTP on a connection, and the ways from one to the next.
mod serve;

/// How many connections there are.
mod census;

/// How long a caller may take.
mod pace;

/// Where callers come in, opened before the process gives that up.
mod listeners;

/// Listeners that the service manager opened.
mod inherited;

/// Connections at rest.
mod berth;

/// Mutual TLS: peers, and whom they speak for.
mod mutual;

/// `CONNECT`: intercepted or blind.
mod connect;

/// Connections that the kernel brought here.
pub mod transparent;

/// The local certificate authority that mints leaves for interception.
pub mod authority;

use crate::admission::Admission;
use crate::caller::peer::Peers;
use crate::caller::{Peer, Proven, RunningTask};
use crate::exchange::{Line, Way, Worker, unanswered};
use crate::forward::Pool;
use crate::forward::pool::SWEEP;
use crate::refusal::{Code, Refusal};
use crate::stream::Tcp;
use crate::worker::Counted;

pub use crate::exchange::Shared;
use census::Census;
pub use inherited::Inherited;
use listeners::{Doors, Kind};
pub use listeners::{Listen, Opened, open};
use serve::{Door, Shut};
use transparent::Capture;

/// How long accepting rests when the process has no descriptor left.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(50);

/// Open listeners.
pub struct Accepting {
    /// The bound TCP addresses, in the order asked for.
    pub tcp: Vec<SocketAddr>,
    /// The bound addresses for captured connections, in the order asked for.
    pub captured: Vec<SocketAddr>,
    /// The bound addresses for peers over mutual TLS, in the order asked for.
    pub mutual: Vec<SocketAddr>,
    unix: Vec<PathBuf>,
    closing: watch::Sender<Option<Instant>>,
    workers: Vec<JoinHandle<()>>,
}

/// Opens the listeners and starts the workers.
///
/// # Errors
/// Where an address cannot be bound.
pub fn start(shared: &Arc<Shared>, listen: &Listen) -> io::Result<Accepting> {
    begin(shared, open(listen)?, listen.task.clone())
}

/// Starts the workers of these listeners.
///
/// # Errors
/// Where a thread cannot be started.
pub fn begin(shared: &Arc<Shared>, opened: Opened, task: Option<Arc<RunningTask>>) -> io::Result<Accepting> {
    let Opened { doors, tcp, captured, mutual, peers, unix, overload_delay } = opened;
    tcp.iter().chain(&captured).chain(&mutual).for_each(|address| shared.connector.is_own(*address));
    let (closing, closes) = watch::channel(None);
    let workers = doors
        .into_iter()
        .enumerate()
        .map(|(number, door)| {
            let inside =
                Inside { shared: shared.clone(), closes: closes.clone(), task: task.clone(), peers: peers.clone(), overload_delay };
            std::thread::Builder::new().name(format!("worker-{number}")).spawn(move || work(inside, door))
        })
        .collect::<io::Result<_>>()?;
    Ok(Accepting { tcp, captured, mutual, unix, closing, workers })
}

impl Accepting {
    /// Stops accepting, lets running requests finish within `grace`, then closes. Blocks.
    pub fn drain(self, grace: Duration) {
        self.closing.send_replace(Some(Instant::now() + grace));
        for worker in self.workers {
            // A worker that panicked has closed its connections already.
            let _ = worker.join();
        }
        for path in &self.unix {
            let _ = std::fs::remove_file(path);
        }
    }
}

/// What a worker begins with.
struct Inside {
    shared: Arc<Shared>,
    closes: watch::Receiver<Option<Instant>>,
    task: Option<Arc<RunningTask>>,
    peers: Option<Arc<Peers>>,
    overload_delay: Duration,
}

fn work(inside: Inside, doors: Doors) {
    let Inside { shared, closes, task, peers, overload_delay } = inside;
    // One thread drives it and everything it spawns: no set of local tasks beside the runtime's own.
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build_local(LocalOptions::default()) {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(%error, "a worker could not start");
            return;
        }
    };
    runtime.block_on(async move {
        let admission = Admission::watching(overload_delay);
        let worker = Rc::new(Worker { shared, pool: Pool::default(), ties: Rc::default(), admission });
        tokio::task::spawn_local(Rc::clone(&worker).keep_reviewing());
        let entrance = Rc::new(Entrance { worker, task, peers, closes, census: Rc::default() });
        for (listener, kind) in doors.tcp {
            match TcpListener::from_std(listener) {
                Ok(listener) => drop(tokio::task::spawn_local(accept_tcp(entrance.clone(), listener, kind))),
                Err(error) => tracing::error!(%error, "a listener could not be opened"),
            }
        }
        for listener in doors.unix {
            match UnixListener::from_std(listener) {
                Ok(listener) => drop(tokio::task::spawn_local(accept_unix(entrance.clone(), listener))),
                Err(error) => tracing::error!(%error, "a listener could not be opened"),
            }
        }
        entrance.until_closed().await;
    });
    // What still runs after the grace is reset here.
    runtime.shutdown_background();
}

/// One worker's side of all its listeners.
struct Entrance {
    worker: Rc<Worker>,
    task: Option<Arc<RunningTask>>,
    peers: Option<Arc<Peers>>,
    closes: watch::Receiver<Option<Instant>>,
    census: Rc<Census>,
}

impl Entrance {
    /// Lets what is ready go before the next connection where the worker has too much to do: what comes waits outside meanwhile.
    async fn pace(&self) {
        if self.worker.admission.is_full() {
            tokio::task::yield_now().await;
        }
    }

    /// Looks after the pool until the process closes, then waits for what runs, no longer than the grace.
    async fn until_closed(&self) {
        let mut closes = self.closes.clone();
        let deadline = loop {
            let deadline = *closes.borrow_and_update();
            if let Some(deadline) = deadline {
                break deadline;
            }
            tokio::select! {
                changed = closes.changed() => if changed.is_err() { break Instant::now() },
                () = tokio::time::sleep(SWEEP) => self.worker.pool.sweep(),
            }
        };
        while self.census.count() > 0 && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        self.worker.pool.clear();
    }

    /// Proves whose connection it is, and gives it a place. One that is refused is still told so, as an answer to its request.
    ///
    /// `None` where there are too many of those too: it is closed, counted and on record.
    fn admit(&self, stream: &impl AsFd, peer: &Peer<'_>, way: Way) -> Option<Admitted> {
        let proven = self.worker.shared.callers.connection(peer, self.task.as_deref());
        let (proven, shut) = match proven {
            Ok(proven) => (proven, None),
            Err(unproven) => (Proven::default(), Some(Shut::Unproven(unproven))),
        };
        let (place, shut) = match self.census.enter(stream, proven.caller.process.as_ref().map(|process| process.uid)) {
            Some(place) => (place, shut),
            None => match self.census.refuse(stream) {
                Some(place) => (place, Some(Shut::Full)),
                None => {
                    let why = "so many callers are being told that there is no place that this one is not";
                    unanswered(&Line::new(self.worker.clone(), way, proven), &Refusal::new(Code::Full, why));
                    return None;
                }
            },
        };
        let counted = Counted::new(&self.worker.shared.metrics, place);
        let line = Rc::new(Line::new(self.worker.clone(), way, proven).counting(Some(counted)));
        Some(Admitted { line, door: Door { task: self.task.clone(), shut, captured: None } })
    }
}

/// A connection about to be served.
struct Admitted {
    line: Rc<Line>,
    door: Door,
}

async fn accept_tcp(entrance: Rc<Entrance>, listener: TcpListener, kind: Kind) {
    let mut closes = entrance.closes.clone();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => {
                    let _ = stream.set_nodelay(true);
                    let Ok(local) = stream.local_addr() else { continue };
                    match kind {
                        Kind::Plain => {
                            if let Some(admitted) = entrance.admit(&stream, &Peer::Tcp { peer, local }, Way::Forward) {
                                spawn(entrance.clone(), admitted, Tcp(stream));
                            }
                        }
                        Kind::Mutual => mutual::take(&entrance, stream),
                        Kind::Captured(capture) => take_captured(&entrance, stream, (peer, local), listener.local_addr().ok(), capture),
                    }
                    entrance.pace().await;
                }
                Err(error) => rest(&error).await,
            },
            _ = closes.changed() => return,
        }
    }
}

async fn accept_unix(entrance: Rc<Entrance>, listener: UnixListener) {
    let mut closes = entrance.closes.clone();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    if let Some(admitted) = entrance.admit(&stream, &Peer::Unix(&stream), Way::Forward) {
                        spawn(entrance.clone(), admitted, stream);
                    }
                    entrance.pace().await;
                }
                Err(error) => rest(&error).await,
            },
            _ = closes.changed() => return,
        }
    }
}

fn spawn(entrance: Rc<Entrance>, admitted: Admitted, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) {
    let Admitted { line, door } = admitted;
    tokio::task::spawn_local(async move {
        serve::plain(line, door, stream, entrance.closes.clone()).await;
    });
}

/// A captured connection; one that was dialled to the listener itself is refused, since it would lead back here.
fn take_captured(
    entrance: &Rc<Entrance>,
    stream: TcpStream,
    (peer, local): (SocketAddr, SocketAddr),
    listener: Option<SocketAddr>,
    capture: Capture,
) {
    let original = listener.and_then(|listener| transparent::original(&stream, capture, listener));
    let known = original.map_or(Peer::Tcp { peer, local }, |original| Peer::Captured { peer, original });
    let Some(Admitted { line, mut door }) = entrance.admit(&stream, &known, Way::Transparent) else { return };
    let original = original.unwrap_or_else(|| {
        door.shut = Some(Shut::Direct);
        local
    });
    door.captured = Some(original);
    let closes = entrance.closes.clone();
    tokio::task::spawn_local(transparent::serve(line, door, original, stream, closes));
}

/// Without descriptors accepting again at once would spin; a connection that broke off before it was accepted is nothing.
async fn rest(error: &io::Error) {
    if error.kind() != io::ErrorKind::ConnectionAborted {
        tokio::time::sleep(EXHAUSTED_PAUSE).await;
    }
}
