use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use netlink_sys::Socket;
use netlink_sys::protocols::NETLINK_ROUTE;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, recvmsg,
    sendmsg,
};

use super::Plan;

/// Descriptors that one message may carry (SCM_MAX_FD of the kernel).
pub(super) const HANDED_OVER_MAX: usize = 253;

/// The index of `lo` in a new network namespace: there is nothing else in it.
const LOOPBACK: u32 = 1;

/// The message that comes with the descriptors.
const SIGN: &[u8] = b"L";

/// Brings loopback up, and makes every address lead to it: whatever is dialled ends here.
pub(super) fn up() -> io::Result<()> {
    let socket = Socket::new(NETLINK_ROUTE)?;
    socket.connect(&netlink_sys::SocketAddr::new(0, 0))?;
    ask(&socket, libc::RTM_NEWLINK, 0, &link())?;
    ask(&socket, libc::RTM_NEWROUTE, libc::NLM_F_CREATE, &route(libc::AF_INET))?;
    match ask(&socket, libc::RTM_NEWROUTE, libc::NLM_F_CREATE, &route(libc::AF_INET6)) {
        // A kernel without IPv6 has nowhere to lead it.
        Err(error) if matches!(error.raw_os_error(), Some(libc::EAFNOSUPPORT | libc::EOPNOTSUPP)) => Ok(()),
        done => done,
    }
}

/// `struct ifinfomsg`: `lo`, up.
fn link() -> Vec<u8> {
    let up = u32::try_from(libc::IFF_UP).unwrap_or_default();
    let mut body = vec![0; 4];
    for word in [LOOPBACK, up, up] {
        body.extend_from_slice(&word.to_ne_bytes());
    }
    body
}

/// `struct rtmsg` and the device: `local default dev lo`.
fn route(family: i32) -> Vec<u8> {
    let byte = |number: i32| u8::try_from(number).unwrap_or_default();
    let mut body = vec![byte(family), 0, 0, 0, libc::RT_TABLE_LOCAL, libc::RTPROT_BOOT, libc::RT_SCOPE_HOST, libc::RTN_LOCAL];
    body.extend_from_slice(&0_u32.to_ne_bytes());
    body.extend_from_slice(&8_u16.to_ne_bytes());
    body.extend_from_slice(&libc::RTA_OIF.to_ne_bytes());
    body.extend_from_slice(&LOOPBACK.to_ne_bytes());
    body
}

/// One request, and the kernel's acknowledgement (rtnetlink(7)).
fn ask(socket: &Socket, kind: u16, flags: i32, body: &[u8]) -> io::Result<()> {
    const HEADER_BYTES: usize = 16;
    let length = u32::try_from(HEADER_BYTES + body.len()).unwrap_or_default();
    let flags = u16::try_from(flags | libc::NLM_F_REQUEST | libc::NLM_F_ACK).unwrap_or_default();
    let mut message = Vec::with_capacity(HEADER_BYTES + body.len());
    message.extend_from_slice(&length.to_ne_bytes());
    message.extend_from_slice(&kind.to_ne_bytes());
    message.extend_from_slice(&flags.to_ne_bytes());
    message.extend_from_slice(&[0; 8]);
    message.extend_from_slice(body);
    socket.send(&message, 0)?;
    let mut answer = Vec::with_capacity(4096);
    socket.recv(&mut answer, 0)?;
    // `struct nlmsgerr` begins with the error, negative, or zero.
    let code = answer.get(HEADER_BYTES..HEADER_BYTES + 4).and_then(|bytes| bytes.try_into().ok()).map(i32::from_ne_bytes);
    match code {
        Some(0) => Ok(()),
        Some(code) => Err(io::Error::from_raw_os_error(-code)),
        None => Err(io::ErrorKind::InvalidData.into()),
    }
}

/// What listens inside.
#[derive(Debug)]
pub struct Listeners {
    /// For clients that know of the proxy.
    pub proxy: TcpListener,
    /// For connections to any address.
    pub captured: Vec<TcpListener>,
    /// For questions for names.
    pub names: UdpSocket,
}

pub(super) fn listen(plan: &Plan) -> io::Result<Listeners> {
    let proxy = TcpListener::bind((Ipv4Addr::LOCALHOST, plan.proxy_port))?;
    let captured = plan.captured_ports.iter().map(|port| anywhere(*port)).collect::<io::Result<_>>()?;
    let names = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 53))?;
    Ok(Listeners { proxy, captured, names })
}

/// A listener on this port of every address, of IPv4 alone where there is no IPv6.
fn anywhere(port: u16) -> io::Result<TcpListener> {
    let any = [IpAddr::V6(Ipv6Addr::UNSPECIFIED), IpAddr::V4(Ipv4Addr::UNSPECIFIED)].map(|ip| SocketAddr::new(ip, port));
    TcpListener::bind(any.as_slice())
}

/// Sends all of them in one message.
pub(super) fn hand_over(stream: &UnixStream, listeners: &Listeners) -> io::Result<()> {
    let captured = listeners.captured.iter().map(AsFd::as_fd);
    let all: Vec<BorrowedFd<'_>> = [listeners.names.as_fd(), listeners.proxy.as_fd()].into_iter().chain(captured).collect();
    let mut space = vec![MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(HANDED_OVER_MAX))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !control.push(SendAncillaryMessage::ScmRights(&all)) {
        return Err(io::Error::other("the policy has too many ports"));
    }
    sendmsg(stream, &[IoSlice::new(SIGN)], &mut control, SendFlags::NOSIGNAL)?;
    Ok(())
}

/// Receives them. `None` where the other side has something else to say, which is left to be read.
pub(super) fn take_over(stream: &UnixStream) -> io::Result<Option<Listeners>> {
    let mut space = vec![MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(HANDED_OVER_MAX))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut sign = [0; 1];
    let got = recvmsg(stream, &mut [IoSliceMut::new(&mut sign)], &mut control, RecvFlags::CMSG_CLOEXEC)?;
    let handed = control.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(descriptors) => Some(descriptors),
        _ => None,
    });
    let mut handed = handed.flatten().collect::<Vec<OwnedFd>>().into_iter();
    let (Some(names), Some(proxy), true) = (handed.next(), handed.next(), sign == *SIGN) else { return Ok(None) };
    if got.bytes != 1 || got.flags.contains(ReturnFlags::CTRUNC) {
        return Err(io::Error::other("not all listeners came over"));
    }
    Ok(Some(Listeners { names: names.into(), proxy: proxy.into(), captured: handed.map(Into::into).collect() }))
}
