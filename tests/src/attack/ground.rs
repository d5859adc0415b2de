//! The ground of the adversarial tests: an upstream that the policy allows, one that it does not, a proxy between, and every sink that a
//! secret could run into. When the ground is left, each of them has been searched.

use std::io::Write;
use std::sync::{Mutex, Once, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use http::HeaderMap;
use serde_json::Value;

use super::capture::{self, Place};
use super::case::{Case, Expect};
use super::oracle::Oracle;
use super::way::{Answer, Request, Way};
use super::wire::Target;
use crate::proxy::Proxy;
use crate::servers::echo::Echo;
use crate::servers::scripted::Scripted;
use crate::site::{Site, canary};

/// The host that the policy allows, with the credential.
pub const HOST: &str = "api.test";

/// How long what is under way may take to arrive where a test waits for it.
const TIME_MAX: Duration = Duration::from_secs(60);

/// An upstream that remembers.
pub trait Upstream {
    /// Its port.
    fn port(&self) -> u16;

    /// Every request so far, as text: head, body, trailers.
    fn seen(&self) -> Vec<String>;
}

impl Upstream for Echo {
    fn port(&self) -> u16 {
        self.port
    }

    fn seen(&self) -> Vec<String> {
        let fields = |fields: &HeaderMap| -> String {
            fields.iter().map(|(name, value)| format!("{name}: {}\r\n", String::from_utf8_lossy(value.as_bytes()))).collect()
        };
        let text = |seen: &crate::servers::echo::Seen| {
            let (head, trailers) = (fields(&seen.headers), seen.trailers.as_ref().map(fields).unwrap_or_default());
            format!("{} {}\r\n{head}\r\n{}{trailers}", seen.method, seen.target, String::from_utf8_lossy(&seen.body))
        };
        self.seen().iter().map(text).collect()
    }
}

impl Upstream for Scripted {
    fn port(&self) -> u16 {
        self.port
    }

    fn seen(&self) -> Vec<String> {
        self.seen()
    }
}

/// The ground. `U` is the upstream that the policy allows.
pub struct Ground<U> {
    /// What is attacked.
    pub target: Target,
    /// The proxy.
    pub proxy: Proxy,
    /// The upstream that the policy allows, with the credential.
    pub api: U,
    /// The upstream that nobody may reach; its name is `evil.test`.
    pub evil: Echo,
    /// The credential.
    pub key: String,
    /// Every secret of this ground.
    pub oracle: Oracle,
    /// Its folder.
    pub site: Site,
    back: Mutex<Vec<Answer>>,
    /// How long the log was before.
    logged_bytes: usize,
}

/// What the processes of this test binary logged, and the panics among it: the log of `keygress serve`, at its level.
static LOG: Mutex<Vec<u8>> = Mutex::new(Vec::new());

/// Begins to keep the log.
static LOGGED: Once = Once::new();

/// A piece of the log.
struct Logged;

impl Write for Logged {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        LOG.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// From here on what is logged is kept, and what panics say.
fn logged() {
    LOGGED.call_once(|| {
        tracing_subscriber::fmt().compact().with_target(false).with_ansi(false).with_writer(|| Logged).init();
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            // A log that cannot be written holds nothing.
            let _ = writeln!(Logged, "{panic}");
            before(panic);
        }));
    });
}

/// The site of a ground. The test that asks for it runs where connections are captured from now on, and so does all that it starts.
///
/// # Errors
/// Where the namespace or the site cannot be made.
pub fn site() -> Result<Site> {
    capture::enter()?;
    logged();
    Site::new()
}

impl Ground<Echo> {
    /// The usual upstream.
    ///
    /// # Errors
    /// Where something cannot be started.
    pub fn new() -> Result<Self> {
        let site = site()?;
        let api = Echo::start(&site, HOST)?;
        Self::around(site, api, "", "")
    }
}

impl Ground<Scripted> {
    /// An upstream of HTTP/1.1 that answers these bytes.
    ///
    /// # Errors
    /// Where something cannot be started.
    pub fn answering(answer: impl Fn(&str) -> Vec<u8> + Send + Sync + 'static) -> Result<Self> {
        let site = site()?;
        let api = Scripted::start(&site, HOST, answer)?;
        Self::around(site, api, "", "")
    }
}

impl<U: Upstream> Ground<U> {
    /// A proxy before this upstream; `keys` are further keys of its rule, `rules` further rules.
    ///
    /// # Errors
    /// Where something cannot be started.
    pub fn around(site: Site, api: U, keys: &str, rules: &str) -> Result<Self> {
        Self::under(site, api, "", &format!("{keys}{rules}"))
    }

    /// The same with further `credentials`, and whatever else stands behind the first rule.
    ///
    /// # Errors
    /// Where something cannot be started.
    pub fn under(site: Site, api: U, credentials: &str, rest: &str) -> Result<Self> {
        let logged_bytes = LOG.lock().unwrap_or_else(PoisonError::into_inner).len();
        let key = canary()?;
        let policy = policy(&site, &key, api.port(), credentials, rest)?;
        let place = Place::free()?;
        let proxy = Proxy::start_with(&site, &policy, |settings| settings.transparent = vec![place.listener])?;
        let evil = Echo::start(&site, "evil.test")?;
        let target = Target {
            listener: proxy.address(),
            socket: Some(proxy.socket().to_path_buf()),
            captured: Some(place.dialled),
            ca_pem: proxy.ca_pem().to_owned(),
            token: None,
            host: HOST.to_owned(),
            port: api.port(),
            route: "api".to_owned(),
        };
        let mut oracle = Oracle::default();
        oracle.hide("key", &key);
        Ok(Self { target, proxy, api, evil, key, oracle, site, back: Mutex::default(), logged_bytes })
    }

    /// Asks by one way; what comes back is searched in the end.
    ///
    /// # Errors
    /// As [`Target::ask`].
    pub fn ask(&self, way: Way, request: &Request) -> Result<Answer> {
        Ok(self.keep(self.target.ask(way, request)?))
    }

    /// Keeps an answer that was had otherwise, so that it is searched too.
    pub fn keep(&self, answer: Answer) -> Answer {
        self.back.lock().unwrap_or_else(PoisonError::into_inner).push(answer.clone());
        answer
    }

    /// Tries each case by each way, and leaves the ground.
    ///
    /// # Errors
    /// The first that came to something else; a secret outside its slot; a record that is missing or too much.
    pub fn tried(self, cases: &[Case]) -> Result<()> {
        let (mut recorded, mut wrong) = (Vec::new(), Vec::new());
        for case in cases {
            for way in Way::ALL {
                match self.attempted(case, way) {
                    Ok(record) => recorded.extend(record),
                    Err(why) => wrong.push(format!("{why:#}")),
                }
            }
        }
        ensure!(wrong.is_empty(), "{} of these came to something else:\n{}", wrong.len(), wrong.join("\n"));
        let records = self.left()?;
        // What an attacker breaks off is on record too, but is no refusal; nor is the alert that somebody probes.
        let denials = records.iter().filter(|record| record.get("activity").and_then(Value::as_str) != Some("alert"));
        let mut denied: Vec<String> = denials.filter_map(told).filter(|told| !told.ends_with(" broken_off")).collect();
        // Equal as heaps: what is left of either says what is missing, or too much.
        recorded.retain(|told| denied.iter().position(|other| other == told).map(|at| denied.swap_remove(at)).is_none());
        ensure!(denied.is_empty() && recorded.is_empty(), "on record is {denied:?} too much, and {recorded:?} is missing");
        Ok(())
    }

    /// Tries a case by one way; what must be on record of it.
    fn attempted(&self, case: &Case, way: Way) -> Result<Option<String>> {
        let expect = case.expected(way);
        if expect == Expect::Unwritable {
            return Ok(None);
        }
        let before = self.api.seen().len();
        let answer = self.keep(case.attempt(&self.target, way).with_context(|| format!("`{}` by {way}", case.name))?);
        case.judge(way, &answer)?;
        let arrived = self.api.seen().split_off(before);
        let Expect::Carried(without) = expect else {
            ensure!(arrived.is_empty(), "`{}` by {way} reached the upstream: {arrived:?}", case.name);
            return Ok(match expect {
                Expect::Refused(_, code) | Expect::Ended(code) => Some(format!("{} {code}", way.recorded())),
                Expect::Rejected(_) | Expect::Carried(_) | Expect::Unwritable => None,
            });
        };
        ensure!(arrived.len() == 1, "`{}` by {way}: {} requests arrived: {arrived:?}", case.name, arrived.len());
        let text = arrived.concat().replace(&self.key, "").to_ascii_lowercase();
        let left = without.iter().find(|part| text.contains(&part.to_ascii_lowercase()));
        ensure!(left.is_none(), "`{}` by {way}: {left:?} arrived: {text}", case.name);
        Ok(None)
    }

    /// Stops the proxy and searches every sink; the records, oldest first.
    ///
    /// # Errors
    /// A secret outside its slot.
    pub fn left(mut self) -> Result<Vec<Value>> {
        self.proxy.stop();
        let slot = format!("authorization: Bearer {}\r\n", self.key);
        for seen in self.api.seen() {
            // The slot, once; what is left of the request must be clean.
            self.clean("the upstream, outside the slot", seen.replacen(&slot, "", 1).as_bytes())?;
        }
        ensure!(self.evil.seen().is_empty(), "the upstream that nobody may reach was asked: {:?}", self.evil.seen());
        for answer in self.back.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            self.clean("what came back", &answer.raw)?;
            self.clean("what came back", &answer.body)?;
        }
        self.clean("the audit", self.proxy.record_lines().join("\n").as_bytes())?;
        self.clean("the metrics", self.proxy.metrics().as_bytes())?;
        let log = LOG.lock().unwrap_or_else(PoisonError::into_inner).clone();
        self.clean("the log", log.get(self.logged_bytes..).unwrap_or_default())?;
        self.proxy.records()
    }

    fn clean(&self, sink: &str, bytes: &[u8]) -> Result<()> {
        let found = self.oracle.finds(bytes);
        ensure!(found.is_empty(), "{sink} holds {found:?}:\n{}", String::from_utf8_lossy(bytes));
        Ok(())
    }

    /// Whether this holds before long.
    #[must_use]
    pub fn before_long(&self, mut holds: impl FnMut(&Self) -> bool) -> bool {
        let end = Instant::now().checked_add(TIME_MAX);
        while !holds(self) {
            if end.is_none_or(|end| Instant::now() > end) {
                return false;
            }
            std::thread::yield_now();
        }
        true
    }
}

/// The way and the code of what a record says was refused.
fn told(record: &Value) -> Option<String> {
    let text = |name: &str| record.get("keygress").and_then(|ours| ours.get(name)).and_then(Value::as_str);
    // A refused CONNECT counts as what it is refused on: the plain listener.
    let way = text("way").map(|way| if way == "tunnel" { Way::Absolute.recorded() } else { way });
    Some(format!("{} {}", way?, text("code")?))
}

/// The policy of this ground. The names in its comment are on loopback, so that whoever dials them succeeds.
fn policy(site: &Site, key: &str, port: u16, credentials: &str, rest: &str) -> Result<String> {
    let file = site.write_secret("key", key)?;
    Ok(format!(
        "version: 1
# evil.test alias.test evilapi.test api.test.evil.test x.api.test
credentials:
  key:
    owner: tests@example.com
    static: {{ reason: a test, expires: 2099-12-31 }}
    source: {{ file: {} }}
    inject: bearer
    only_to: [{HOST}]
{credentials}rules:
  api:
    from: any
    to: https://{HOST}:{port}
    allow: [GET /**, POST /**]
    except: [POST /except/**, GET /except/**]
    credential: key
    route: api
    allow_ips: [127.0.0.1/32]
    request_trailers: [x-kept]
{rest}",
        file.display()
    ))
}
