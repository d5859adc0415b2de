use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::header::{CONNECTION, HeaderValue, SET_COOKIE};
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde::Deserialize;
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use super::guard::{self, Guard};
use super::relay::Relay;
use super::session::{Ending, Session, Token};
use super::{Answer, Refused, assets, json_answer, text};
use crate::caller::{Callers, Peer, Proofs};

/// Connections at once; more wait in the backlog.
const CONNECTIONS_MAX: u32 = 64;

/// How long a request head may take, and a kept connection may idle.
const HEAD_TIMEOUT: Duration = Duration::from_secs(20);

/// How large a request head may be.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// The longest body that opens a session, in bytes.
const KEY_BYTES_MAX: usize = 1024;

/// How long accepting rests after it failed.
const PAUSE: Duration = Duration::from_millis(100);

/// How long what is being answered may take when the session has ended.
const LAST_TIME: Duration = Duration::from_millis(500);

/// The page on loopback: one link, one session.
pub struct Server {
    listener: TcpListener,
    key: Token,
    ui: Arc<Ui>,
}

struct Ui {
    guard: Guard,
    session: Session,
    relay: Relay,
    /// Says whose browser it is.
    callers: Callers,
}

/// What opens the session.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Key {
    key: String,
}

impl Server {
    /// Listens on 127.0.0.1, on any port where it is 0, for the keygress behind this socket.
    ///
    /// # Errors
    /// Where the port is taken, or there is no randomness.
    pub async fn bind(port: u16, socket: PathBuf) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
        let guard = Guard::new(listener.local_addr()?);
        let (session, key) = Session::new()?;
        let callers = Callers::new(Proofs { unsafe_same_uid: true, ..Proofs::default() });
        Ok(Self { listener, key, ui: Arc::new(Ui { guard, session, relay: Relay::new(socket), callers }) })
    }

    /// The link: opens once.
    #[must_use]
    pub fn link(&self) -> String {
        format!("{}/#open={}", self.ui.guard.origin(), *self.key)
    }

    /// Serves until the session has ended, and says how.
    pub async fn serve(self) -> Ending {
        let permits = Arc::new(Semaphore::new(CONNECTIONS_MAX as usize));
        let accepting = async {
            loop {
                let Ok(permit) = Arc::clone(&permits).acquire_owned().await else { return };
                match self.listener.accept().await {
                    Ok((stream, peer)) => {
                        let ui = Arc::clone(&self.ui);
                        tokio::spawn(async move {
                            ui.serve(stream, peer).await;
                            drop(permit);
                        });
                    }
                    Err(_) => tokio::time::sleep(PAUSE).await,
                }
            }
        };
        let ending = tokio::select! {
            ending = self.ui.session.ended() => ending,
            () = accepting => Ending::Closed,
        };
        drop(tokio::time::timeout(LAST_TIME, permits.acquire_many(CONNECTIONS_MAX)).await);
        ending
    }
}

impl Ui {
    async fn serve(self: Arc<Self>, stream: TcpStream, peer: SocketAddr) {
        // Of another host's address there is nothing to know; none reaches loopback.
        let user = stream.local_addr().ok().and_then(|local| {
            let proven = self.callers.connection(&Peer::Tcp { peer, local }, None).ok()?;
            proven.caller.process.map(|process| process.uid)
        });
        let service = service_fn(|request| {
            let ui = Arc::clone(&self);
            async move { Ok::<_, Infallible>(ui.answer(user, request).await) }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT)
            .max_buf_size(HEAD_BYTES_MAX)
            .serve_connection(TokioIo::new(stream), service);
        // How it ends concerns only the browser.
        drop(connection.await);
    }

    async fn answer(&self, user: Option<u32>, request: Request<Incoming>) -> Answer {
        let mut answer = self.guarded(user, request).await.unwrap_or_else(|refused| refused.answer());
        assets::harden(answer.headers_mut());
        answer
    }

    async fn guarded(&self, user: Option<u32>, request: Request<Incoming>) -> Result<Answer, Refused> {
        let (head, body) = request.into_parts();
        self.guard.check(&head)?;
        let (method, path) = (&head.method, head.uri.path());
        if let Some((kind, part)) = assets::part(path) {
            return match *method {
                Method::GET | Method::HEAD => Ok(text(StatusCode::OK, kind, part.into())),
                _ => Err(Refused::new(StatusCode::METHOD_NOT_ALLOWED, "the page is read with GET")),
            };
        }
        if path == "/session" {
            return match *method {
                Method::POST => self.open(user, body).await,
                _ => Err(Refused::new(StatusCode::METHOD_NOT_ALLOWED, "a session is opened with POST")),
            };
        }
        let Some(asked) = path.strip_prefix("/api") else { return Err(Refused::new(StatusCode::NOT_FOUND, "there is nothing here")) };
        self.session.admit(self.guard.cookie(&head.headers), guard::bearer(&head.headers), user)?;
        if asked == "/close" && *method == Method::POST {
            return Ok(self.close());
        }
        self.relay.ask(method, asked, head.uri.query(), body).await
    }

    /// The key of the link for the two proofs of a session.
    async fn open(&self, user: Option<u32>, body: Incoming) -> Result<Answer, Refused> {
        let unread = || Refused::new(StatusCode::BAD_REQUEST, "the body holds no key");
        let body = Limited::new(body, KEY_BYTES_MAX).collect().await.map_err(|_| unread())?.to_bytes();
        let Key { key } = serde_json::from_slice(&body).map_err(|_| unread())?;
        let proofs = self.session.open(&key, user)?;
        let mut answer = json_answer(StatusCode::OK, &json!({ "bearer": *proofs.bearer }));
        let cookie = format!("{}={}; Path=/api; HttpOnly; SameSite=Strict", self.guard.cookie_name(), *proofs.cookie);
        answer.headers_mut().extend(HeaderValue::try_from(cookie).map(|cookie| (SET_COOKIE, cookie)));
        Ok(answer)
    }

    fn close(&self) -> Answer {
        self.session.close();
        let mut answer = json_answer(StatusCode::OK, &json!({ "closed": true }));
        answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        answer
    }
}
