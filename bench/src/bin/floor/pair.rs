//! A caller and the upstream that answers it.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::event::epoll::{self, EventData, EventFlags};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;

use crate::end::End;
use crate::message::{self, Body};

/// Where requests go.
pub(crate) struct Route {
    /// The address.
    pub(crate) upstream: SocketAddr,
    /// The name that its certificate proves.
    pub(crate) name: ServerName<'static>,
    /// The fields that every request gets.
    pub(crate) head: String,
    /// How it is verified.
    pub(crate) tls: Arc<ClientConfig>,
}

/// How far a message is.
enum Turn {
    Head,
    Body(Body),
    Done,
}

/// A caller and its upstream.
pub(crate) struct Pair {
    caller: End,
    upstream: Option<End>,
    request: Turn,
    response: Turn,
    is_head: bool,
    /// The event of the caller; that of the upstream is the next.
    event: u64,
    /// Whether we wait until the caller, the upstream, can be written to.
    waits: [bool; 2],
    head: Vec<u8>,
}

impl Pair {
    /// A caller that asked for nothing yet.
    pub(crate) fn new(caller: End, event: u64) -> Self {
        Self {
            caller,
            upstream: None,
            request: Turn::Head,
            response: Turn::Done,
            is_head: false,
            event,
            waits: [false; 2],
            head: Vec::new(),
        }
    }

    /// One of its sockets is ready. Whether the pair goes on.
    pub(crate) fn ready(
        &mut self,
        is_caller: bool,
        poll: &OwnedFd,
        route: &Route,
        spare: &mut Vec<End>,
        scratch: &mut [u8],
    ) -> io::Result<bool> {
        let end = if is_caller { Some(&mut self.caller) } else { self.upstream.as_mut() };
        let Some(end) = end else { return Ok(true) };
        let is_open = end.read(scratch)?;
        if !is_caller {
            self.answer()?;
        }
        self.ask(poll, route, spare)?;
        self.flush(poll)?;
        Ok(is_open)
    }

    /// Carries the request on as far as it is there.
    fn ask(&mut self, poll: &OwnedFd, route: &Route, spare: &mut Vec<End>) -> io::Result<()> {
        loop {
            match &mut self.request {
                Turn::Head => {
                    self.head.clear();
                    let Some(head) = message::request(&self.caller.got, &route.head, &mut self.head)? else { return Ok(()) };
                    self.caller.got.drain(..head.length);
                    self.is_head = head.is_head;
                    (self.request, self.response) = (Turn::Body(head.body), Turn::Head);
                    if self.upstream.is_none() {
                        let end =
                            spare.pop().map_or_else(|| End::dialled(route.upstream, route.name.clone(), Arc::clone(&route.tls)), Ok)?;
                        epoll::add(poll, end.socket(), EventData::new_u64(self.event + 1), EventFlags::IN)?;
                        self.upstream = Some(end);
                    }
                    self.upstream.as_mut().map_or(Ok(()), |upstream| upstream.put(&self.head))?;
                }
                Turn::Body(body) => {
                    let (taken, is_all) = body.take(&self.caller.got)?;
                    if let Some(upstream) = self.upstream.as_mut().filter(|_| taken > 0) {
                        upstream.put(self.caller.got.get(..taken).unwrap_or_default())?;
                    }
                    self.caller.got.drain(..taken);
                    if !is_all {
                        return Ok(());
                    }
                    self.request = Turn::Done;
                }
                Turn::Done => return Ok(()),
            }
        }
    }

    /// Carries the response back as far as it is there.
    fn answer(&mut self) -> io::Result<()> {
        let Some(upstream) = &mut self.upstream else { return Ok(()) };
        loop {
            match &mut self.response {
                Turn::Head => {
                    let Some(head) = message::response(&upstream.got, self.is_head)? else { return Ok(()) };
                    self.caller.put(upstream.got.get(..head.length).unwrap_or_default())?;
                    upstream.got.drain(..head.length);
                    if !head.is_interim {
                        self.response = Turn::Body(head.body);
                    }
                }
                Turn::Body(body) => {
                    let (taken, is_all) = body.take(&upstream.got)?;
                    self.caller.put(upstream.got.get(..taken).unwrap_or_default())?;
                    upstream.got.drain(..taken);
                    if !is_all {
                        return Ok(());
                    }
                    // The next request begins where this one is all there; one that is answered early ends the pair.
                    (self.response, self.request) = match self.request {
                        Turn::Done => (Turn::Done, Turn::Head),
                        Turn::Head | Turn::Body(_) => return Err(io::ErrorKind::InvalidData.into()),
                    };
                    return Ok(());
                }
                Turn::Done => return Ok(()),
            }
        }
    }

    /// Writes what the sockets take; for the rest the poll tells us.
    fn flush(&mut self, poll: &OwnedFd) -> io::Result<()> {
        for ((end, waits), event) in [Some(&mut self.caller), self.upstream.as_mut()].into_iter().zip(&mut self.waits).zip(self.event..) {
            let Some(end) = end else { continue };
            let is_left = !end.flush()?;
            if is_left != *waits {
                *waits = is_left;
                let wanted = if is_left { EventFlags::IN | EventFlags::OUT } else { EventFlags::IN };
                epoll::modify(poll, end.socket(), EventData::new_u64(event), wanted)?;
            }
        }
        Ok(())
    }

    /// The connection to the upstream, where it can serve another caller.
    pub(crate) fn into_spare(self, poll: &OwnedFd) -> Option<End> {
        let is_idle = matches!((&self.request, &self.response), (Turn::Head, Turn::Done)) && !self.waits.contains(&true);
        let upstream = self.upstream.filter(|_| is_idle)?;
        epoll::delete(poll, upstream.socket()).ok()?;
        Some(upstream)
    }
}
