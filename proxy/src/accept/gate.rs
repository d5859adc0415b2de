//! What a request must be before anything is asked of the policy: one reading, or none.
//!
//! hyper lets through more than one host, codings it did not decode, ports it cannot hold; here is where that ends.
//! What the caller wrote may only *select* among the policy's destinations, and everything it wrote must agree.

use std::net::SocketAddr;
use std::sync::Arc;

use http::request::Parts;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Request, Uri, Version, header};
use hyper::body::Incoming;
use keygress_policy::destination::{self, Host, Scheme};

use super::serve::{Bound, Door, HEAD_MAX, Shut};
use crate::caller::{RunningTask, Unproven};
use crate::exchange::{Asked, AskedConnect, Line};
use crate::refusal::{Code, Refusal};
use crate::reload::Snapshot;

/// Reads a request on a plain listener: absolute-form, or origin-form for a base-URL route; or on a captured connection, in either form.
///
/// # Errors
/// The refusal of whatever is unproven, malformed or ambiguous.
pub(super) fn read(line: &Line, door: Door, request: Request<Incoming>) -> Result<Asked, Refusal> {
    let (mut head, body) = request.into_parts();
    let captured = door.captured;
    let task = prove(line, door, &head.headers)?;
    sound(&head)?;
    let snapshot = line.shared().live.load();
    let host_field = single_host(&head)?;
    if let Some(original) = captured {
        let (host, port) = where_dialled(&head, host_field, original)?;
        head.uri = Uri::from(head.uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/")));
        let (scheme, port) = raised(&snapshot, Scheme::Http, &host, port);
        return Ok(Asked { snapshot, task, scheme, host, port, head, body, reading: None });
    }
    let (scheme, host, port) = match (head.uri.scheme_str(), head.uri.authority()) {
        (Some(scheme), Some(authority)) => {
            let scheme = carried(scheme)?;
            let (host, port) = parse(authority.as_str())?;
            // Nearly always the same text: what was read once is not read again.
            if host_field != authority.as_str() {
                agree(&(host.clone(), port), &parse(host_field)?, scheme)?;
            }
            (scheme, host, port.unwrap_or(scheme.default_port()))
        }
        (None, None) => {
            same_site(&head.headers, host_field)?;
            let (rest, scheme, host, port) = route(&snapshot, &head.uri)?;
            head.uri = Uri::from(rest);
            (scheme, host, port)
        }
        (Some(_), None) | (None, Some(_)) => return Err(bad("the request target is neither a URL nor a path")),
    };
    let (scheme, port) = raised(&snapshot, scheme, &host, port);
    Ok(Asked { snapshot, task, scheme, host, port, head, body, reading: None })
}

/// Reads a request of a peer over mutual TLS: it names its destination in full.
///
/// # Errors
/// As [`read`].
pub(super) fn read_of_peer(line: &Line, door: Door, request: Request<Incoming>) -> Result<Asked, Refusal> {
    if request.version() != Version::HTTP_2 {
        return read(line, door, request);
    }
    let (head, body) = request.into_parts();
    let task = prove(line, door, &head.headers)?;
    sound(&head)?;
    let scheme = carried(head.uri.scheme_str().unwrap_or_default())?;
    let (host, port) = parse(head.uri.authority().ok_or_else(|| bad("the request has no :authority"))?.as_str())?;
    if head.headers.contains_key(header::HOST) {
        agree(&(host.clone(), port), &parse(single_host(&head)?)?, scheme)?;
    }
    let snapshot = line.shared().live.load();
    let (scheme, port) = raised(&snapshot, scheme, &host, port.unwrap_or(scheme.default_port()));
    Ok(Asked { snapshot, task, scheme, host, port, head, body, reading: None })
}

/// Reads a request inside an intercepted connection: it must name what the connection was opened for.
///
/// # Errors
/// [`Code::Misdirected`] where it names another; [`Code::BadRequest`] where it cannot be read in one way only.
pub(super) fn read_bound(line: &Line, bound: &Bound, request: Request<Incoming>) -> Result<Asked, Refusal> {
    let (head, body) = request.into_parts();
    line.proven.is_good().map_err(refused)?;
    sound(&head)?;
    let opened_for = (bound.host.clone(), Some(bound.port));
    if head.version == Version::HTTP_2 {
        let authority = head.uri.authority().ok_or_else(|| bad("the request has no :authority"))?;
        if head.uri.scheme_str() != Some("https") {
            return Err(bad("the :scheme inside TLS is not https"));
        }
        agree(&opened_for, &parse(authority.as_str())?, Scheme::Https)?;
        if head.headers.contains_key(header::HOST) {
            agree(&opened_for, &parse(single_host(&head)?)?, Scheme::Https)?;
        }
    } else {
        if let Some(authority) = head.uri.authority() {
            if head.uri.scheme_str() != Some("https") {
                return Err(bad("the request target inside TLS is not an https URL"));
            }
            agree(&opened_for, &parse(authority.as_str())?, Scheme::Https)?;
        }
        agree(&opened_for, &parse(single_host(&head)?)?, Scheme::Https)?;
    }
    let snapshot = line.shared().live.load();
    Ok(Asked {
        snapshot,
        task: bound.task.clone(),
        scheme: Scheme::Https,
        host: bound.host.clone(),
        port: bound.port,
        head,
        body,
        reading: None,
    })
}

/// Reads a `CONNECT`: authority-form with a port, and a Host field that agrees.
///
/// # Errors
/// As [`read`].
pub(super) fn read_connect(line: &Line, door: Door, request: &Request<Incoming>) -> Result<AskedConnect, Refusal> {
    let is_captured = door.captured.is_some();
    let task = prove(line, door, request.headers())?;
    if is_captured {
        return Err(Refusal::new(Code::Misdirected, "a captured connection goes to its destination, not to a proxy: CONNECT is refused"));
    }
    let authority = request.uri().authority().ok_or_else(|| bad("CONNECT names no authority"))?;
    let (host, port) = parse(authority.as_str())?;
    let port = port.ok_or_else(|| bad("CONNECT names no port"))?;
    let fields = request.headers().get_all(header::HOST);
    match (fields.iter().count(), fields.iter().next()) {
        (0, None) => {}
        (1, Some(field)) => {
            let named = parse(field.to_str().map_err(|_| bad("the Host field is not a host"))?)?;
            // Some clients leave the port out of Host here.
            if named.0 != host || named.1.is_some_and(|named| named != port) {
                return Err(bad("the Host field and the CONNECT target disagree"));
            }
        }
        _ => return Err(bad("there is more than one Host field")),
    }
    Ok(AskedConnect { snapshot: line.shared().live.load(), task, host, port })
}

/// What is to be known of a captured connection before its first byte is understood: the policy, and the task to which it belongs.
///
/// # Errors
/// The refusal of whatever is unproven.
pub(super) fn read_captured(line: &Line, door: &Door) -> Result<(Arc<Snapshot>, Option<Arc<RunningTask>>), Refusal> {
    let task = prove(line, door.clone(), &HeaderMap::new())?;
    Ok((line.shared().live.load(), task))
}

/// The host and port that a plain request on a captured connection names: the connection must have been dialled to this port, and to this
/// address where it names one.
fn where_dialled(head: &Parts, host_field: &str, original: SocketAddr) -> Result<(Host, u16), Refusal> {
    let named = parse(host_field)?;
    if let Some(authority) = head.uri.authority() {
        if head.uri.scheme_str() != Some("http") {
            return Err(bad("the request target on a plain connection is not an http URL"));
        }
        agree(&named, &parse(authority.as_str())?, Scheme::Http)?;
    }
    let (host, port) = (named.0, named.1.unwrap_or(Scheme::Http.default_port()));
    let is_elsewhere = matches!(&host, Host::Ip(ip) if *ip != original.ip());
    if port != original.port() || is_elsewhere {
        return Err(Refusal::new(Code::Misdirected, "the request names another destination than the connection was dialled to"));
    }
    Ok((host, port))
}

/// Who asks for a route of our own: the same proof, and no web page.
///
/// # Errors
/// As [`read`].
pub(super) fn prove_local(line: &Line, door: Door, request: &Request<Incoming>) -> Result<Option<Arc<RunningTask>>, Refusal> {
    let task = prove(line, door, request.headers())?;
    let mut fields = request.headers().get_all(header::HOST).iter();
    match (fields.next().and_then(|field| field.to_str().ok()), fields.next()) {
        (Some(only), None) => same_site(request.headers(), only).map(|()| task),
        (_, _) => Err(bad("there is not one Host field")),
    }
}

fn prove(line: &Line, door: Door, headers: &HeaderMap) -> Result<Option<Arc<RunningTask>>, Refusal> {
    match door {
        Door { shut: Some(Shut::Full), .. } => {
            Err(Refusal::new(Code::Full, "no more connections are taken from this caller now").retry_after(Some(1)))
        }
        Door { shut: Some(Shut::Unproven(unproven)), .. } => Err(refused(unproven)),
        Door { shut: Some(Shut::Direct), .. } => {
            Err(Refusal::new(Code::Misdirected, "this listener takes captured connections, and this one was dialled to it"))
        }
        Door { task: Some(task), .. } => Ok(Some(task)),
        Door { .. } => {
            let callers = &line.shared().callers;
            callers.task(headers).map_err(|unproven| refused(unproven).of_task(callers.ended(headers)))
        }
    }
}

/// Why a caller of which this is not proven is refused.
pub(super) fn refused(unproven: Unproven) -> Refusal {
    let code = match unproven {
        Unproven::TokenMissing | Unproven::WrongToken => Code::CallerUnproven,
        Unproven::NoOwner | Unproven::SameUid | Unproven::OtherUid => Code::CallerRefused,
        Unproven::NoCertificate | Unproven::BadCertificate(_) | Unproven::BadToken(_) => Code::PeerRefused,
    };
    Refusal::new(code, unproven.to_string())
}

/// Method, target form and framing.
fn sound(head: &Parts) -> Result<(), Refusal> {
    if !destination::is_listed(&head.method) {
        return Err(Refusal::new(Code::MethodNotCarried, "this method is not carried; methods are exact and case-sensitive"));
    }
    if !head.uri.path().starts_with('/') {
        return Err(if head.uri.path() == "*" {
            Refusal::new(Code::MethodNotCarried, "`OPTIONS *` is not carried")
        } else {
            bad("the request target is not a path")
        });
    }
    // hyper bounds its buffer, of which one read may fill more than its limit.
    if head.headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum::<usize>() > HEAD_MAX {
        return Err(bad("the head is larger than 32 KiB"));
    }
    let mut codings = head.headers.get_all(header::TRANSFER_ENCODING).iter();
    match (codings.next(), codings.next()) {
        (None, _) => Ok(()),
        (Some(only), None) if only.as_bytes().eq_ignore_ascii_case(b"chunked") => Ok(()),
        _ => Err(Refusal::new(Code::CodingNotCarried, "`chunked` alone is carried")),
    }
}

fn single_host(head: &Parts) -> Result<&str, Refusal> {
    let mut fields = head.headers.get_all(header::HOST).iter();
    match (fields.next(), fields.next()) {
        (Some(only), None) => only.to_str().map_err(|_| bad("the Host field is not a host")),
        (None, _) => Err(bad("there is no Host field")),
        (Some(_), Some(_)) => Err(bad("there is more than one Host field")),
    }
}

fn carried(scheme: &str) -> Result<Scheme, Refusal> {
    match scheme {
        "http" => Ok(Scheme::Http),
        "https" => Ok(Scheme::Https),
        _ => Err(bad("the scheme is neither http nor https")),
    }
}

fn parse(authority: &str) -> Result<(Host, Option<u16>), Refusal> {
    destination::parse_authority(authority).map_err(bad)
}

/// Two authorities are one where host and port agree, a missing port being the scheme's own.
fn agree(one: &(Host, Option<u16>), other: &(Host, Option<u16>), scheme: Scheme) -> Result<(), Refusal> {
    let port = |authority: &(Host, Option<u16>)| authority.1.unwrap_or(scheme.default_port());
    if one.0 == other.0 && port(one) == port(other) {
        return Ok(());
    }
    Err(Refusal::new(Code::Misdirected, "the request names more than one destination"))
}

/// `http` that the policy raises is asked, and sent, as `https`.
fn raised(snapshot: &Snapshot, scheme: Scheme, host: &Host, port: u16) -> (Scheme, u16) {
    if scheme == Scheme::Http && port == 80 && snapshot.policy.raises(host) { (Scheme::Https, 443) } else { (scheme, port) }
}

/// `/NAME/rest?query`: the upstream behind the name, and the rest.
fn route(snapshot: &Snapshot, uri: &Uri) -> Result<(PathAndQuery, Scheme, Host, u16), Refusal> {
    let unknown = || Refusal::new(Code::UnknownDestination, "the first segment of the path names no route");
    let whole = uri.path_and_query().map_or("/", PathAndQuery::as_str);
    let after = whole.strip_prefix('/').ok_or_else(unknown)?;
    let end = after.bytes().position(|byte| matches!(byte, b'/' | b'?')).unwrap_or(after.len());
    let (name, rest) = after.split_at(end);
    let route = snapshot.policy.route(name).ok_or_else(unknown)?;
    let rest = if rest.starts_with('/') { PathAndQuery::try_from(rest) } else { PathAndQuery::try_from(format!("/{rest}")) };
    Ok((rest.map_err(|_| bad("the request target is not a path"))?, route.scheme, route.host.clone(), route.port))
}

/// A route is for SDKs on this host: a page in a browser, or a name that was re-bound to loopback, must not use it.
fn same_site(headers: &HeaderMap, host: &str) -> Result<(), Refusal> {
    if !is_local(host)? {
        return Err(Refusal::new(Code::Misdirected, "a route is asked for under a loopback address or `localhost`"));
    }
    // A page that came through one route has the same origin as every other.
    let from_page = headers.get_all("sec-fetch-site").iter().any(|site| site != "none");
    if from_page || headers.get_all(header::ORIGIN).iter().any(is_foreign) {
        return Err(Refusal::new(Code::CallerRefused, "a web page may not use a route"));
    }
    Ok(())
}

fn is_local(host: &str) -> Result<bool, Refusal> {
    Ok(match parse(host)?.0 {
        Host::Name(name) => &*name == "localhost" || name.ends_with(".localhost"),
        Host::Ip(ip) => ip.is_loopback(),
    })
}

/// Browsers that do not say `Sec-Fetch-Site` say this; WebSocket clients that are no browsers name this host.
fn is_foreign(origin: &HeaderValue) -> bool {
    let host = origin.to_str().ok().and_then(|origin| origin.split_once("://")).map(|(_, host)| is_local(host));
    !matches!(host, Some(Ok(true)))
}

fn bad(why: impl Into<std::borrow::Cow<'static, str>>) -> Refusal {
    Refusal::new(Code::BadRequest, why)
}
