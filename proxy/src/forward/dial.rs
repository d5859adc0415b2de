//! A TCP connection to an address that was checked: resolve once, guard every address, dial what was checked.
//!
//! A tower service, so that its two limits, how many dial at once and for how long, stand in front of it as layers.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, PoisonError, RwLock};
use std::task::{Context, Poll};
use std::time::Duration;

use ipnet::IpNet;
use keygress_policy::destination::Host;
use tokio::net::TcpStream;
use tower::limit::ConcurrencyLimit;
use tower::limit::GlobalConcurrencyLimitLayer;
use tower::timeout::Timeout;
use tower::{Service, ServiceBuilder, ServiceExt};

use super::connect::Target;
use super::guard::{self, Bad};
use crate::descriptors;
use crate::refusal::{Code, Refusal};
use crate::stream;

/// How long resolving and dialling may take together.
const DIAL_TIMEOUT: Duration = Duration::from_secs(5);

/// How many dials the process has under way at once; more wait, within their time.
const DIALS_MAX: usize = 1024;

/// How many addresses of one answer are tried.
const ADDRESSES_MAX: usize = 8;

/// Dials checked addresses, within limits. Cheap to clone.
#[derive(Clone)]
pub(super) struct Dialer {
    limited: Timeout<ConcurrencyLimit<Checked>>,
    own: Arc<RwLock<Vec<SocketAddr>>>,
}

/// Whom to dial, owned: it outlives its request where the request is dropped.
struct Dial {
    host: Host,
    port: u16,
    allow_ips: Vec<IpNet>,
}

/// The service itself, without limits.
#[derive(Clone)]
struct Checked {
    pins: Arc<HashMap<Host, IpAddr>>,
    own: Arc<RwLock<Vec<SocketAddr>>>,
}

impl Dialer {
    pub(super) fn new(pins: HashMap<Host, IpAddr>) -> Self {
        let own = Arc::new(RwLock::default());
        let checked = Checked { pins: Arc::new(pins), own: Arc::clone(&own) };
        let limited = ServiceBuilder::new().timeout(DIAL_TIMEOUT).layer(GlobalConcurrencyLimitLayer::new(DIALS_MAX)).service(checked);
        Self { limited, own }
    }

    pub(super) fn is_own(&self, listener: SocketAddr) {
        self.own.write().unwrap_or_else(PoisonError::into_inner).push(listener);
    }

    pub(super) fn leads_here(&self, address: &SocketAddr) -> bool {
        leads_to(&self.own, address)
    }

    /// # Errors
    /// [`Code::Unresolvable`], [`Code::AddressRefused`], [`Code::Unreachable`], [`Code::UpstreamTimeout`].
    pub(super) async fn dial(&self, target: &Target<'_>) -> Result<TcpStream, Refusal> {
        let dial = Dial { host: target.host.clone(), port: target.port, allow_ips: target.allow_ips.to_vec() };
        self.limited.clone().oneshot(dial).await.map_err(|error| match error.downcast::<Refusal>() {
            Ok(refusal) => *refusal,
            Err(_elapsed) => Refusal::new(Code::UpstreamTimeout, "the destination did not take the connection in time"),
        })
    }
}

impl Service<Dial> for Checked {
    type Response = TcpStream;
    type Error = Refusal;
    // Boxed once for each new connection, not for each request.
    type Future = Pin<Box<dyn Future<Output = Result<TcpStream, Refusal>>>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Refusal>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, dial: Dial) -> Self::Future {
        let checked = self.clone();
        Box::pin(async move { checked.dial(&dial).await })
    }
}

impl Checked {
    async fn dial(&self, dial: &Dial) -> Result<TcpStream, Refusal> {
        let addresses = self.resolve(dial).await?;
        for address in &addresses {
            guard::check(address.ip(), &dial.allow_ips).map_err(|bad| address_refused(dial, bad))?;
            if leads_to(&self.own, address) {
                return Err(Refusal::new(Code::AddressRefused, format!("`{}` leads back to keygress itself", dial.host)));
            }
        }
        for address in addresses.iter().take(ADDRESSES_MAX) {
            if let Ok(stream) = stream::dial(*address).await {
                if descriptors::left_after(&stream) < descriptors::RESERVE {
                    return Err(Refusal::new(Code::Full, "this process has no descriptor left for a connection to the destination"));
                }
                // Without it small requests wait for the delayed acknowledgement.
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
        }
        Err(Refusal::new(Code::Unreachable, format!("no address of `{}` takes connections on port {}", dial.host, dial.port)))
    }

    async fn resolve(&self, dial: &Dial) -> Result<Vec<SocketAddr>, Refusal> {
        let addresses = match (&dial.host, self.pins.get(&dial.host)) {
            (_, Some(pin)) => vec![SocketAddr::new(*pin, dial.port)],
            (Host::Ip(ip), None) => vec![SocketAddr::new(*ip, dial.port)],
            (Host::Name(name), None) => {
                // The final dot keeps search domains out of it: the name is asked as it stands.
                let absolute = if name.contains('.') { format!("{name}.") } else { name.to_string() };
                tokio::net::lookup_host((absolute, dial.port)).await.map(Iterator::collect).unwrap_or_default()
            }
        };
        if addresses.is_empty() {
            return Err(Refusal::new(Code::Unresolvable, format!("`{}` does not resolve", dial.host)));
        }
        Ok(addresses)
    }
}

/// A listener on a wildcard address is reached under every address of this host.
fn leads_to(own: &RwLock<Vec<SocketAddr>>, address: &SocketAddr) -> bool {
    let own = own.read().unwrap_or_else(PoisonError::into_inner);
    own.iter().any(|own| own == address || (own.port() == address.port() && own.ip().is_unspecified()))
}

fn address_refused(dial: &Dial, bad: Bad) -> Refusal {
    let detail = match bad {
        Bad::Never => format!("`{}` resolves to a link-local or metadata address, which is never dialled", dial.host),
        Bad::Private => format!("`{}` resolves to a private or reserved address that no `allow_ips` names", dial.host),
    };
    Refusal::new(Code::AddressRefused, detail)
}

#[cfg(test)]
mod tests {
    use keygress_policy::destination::Scheme;
    use tokio::net::TcpListener;

    use super::*;

    async fn dial(dialer: &Dialer, host: &Host, port: u16, allow_ips: &[IpNet]) -> Result<TcpStream, Refusal> {
        dialer.dial(&Target { scheme: Scheme::Https, host, port, allow_ips, http1_only: false, client_auth: None, via: None }).await
    }

    #[tokio::test]
    async fn a_private_address_is_dialled_only_where_the_rule_names_it_and_our_own_listener_never() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let host = Host::parse("api.test").unwrap();
        let dialer = Dialer::new(HashMap::from([(host.clone(), address.ip())]));
        let allow = ["127.0.0.0/8".parse().unwrap()];
        assert_eq!(dial(&dialer, &host, address.port(), &[]).await.unwrap_err().code, Code::AddressRefused);
        assert!(dial(&dialer, &host, address.port(), &allow).await.is_ok());
        dialer.is_own(address);
        assert_eq!(dial(&dialer, &host, address.port(), &allow).await.unwrap_err().code, Code::AddressRefused);
    }
}
