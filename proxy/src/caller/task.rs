use std::collections::{BTreeMap, HashMap, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::rand;
use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, URL_SAFE_NO_PAD};
use http::header::PROXY_AUTHORIZATION;
use http::{HeaderMap, HeaderValue};
use keygress_policy::compile::Placeholder;
use keygress_policy::material::Secret;
use keygress_policy::workload::Task;
use zeroize::Zeroizing;

use super::Unproven;
use crate::Policy;
use crate::known::{Known, Thing};

/// Random bytes of a token: more than can be guessed.
const TOKEN_BYTES: usize = 32;

/// Random bytes from which the letters and digits of a placeholder are taken at once.
const RANDOM_BYTES: usize = 32;

/// The longest `task:TOKEN` that is looked at, decoded. Our own tokens take 48 bytes of it.
const PRESENTED_BYTES_MAX: usize = 384;

/// Ended tasks whose tokens are still known.
const ENDED_MAX: usize = 4_096;

/// The user name in `http://task:TOKEN@127.0.0.1:PORT`.
const USER: &[u8] = b"task:";

/// Some clients leave the padding away.
pub(super) const LENIENT: GeneralPurpose =
    GeneralPurpose::new(&STANDARD, GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent));

/// A task that runs now: its token admits its requests, its placeholders stand for credentials.
#[derive(Debug)]
pub struct RunningTask {
    /// Id and labels.
    pub task: Task,
    /// The bearer of this token is the task.
    pub token: Secret,
    /// Credential name → the placeholder that this task holds.
    pub placeholders: BTreeMap<String, Secret>,
    has_namespace: bool,
    ended: AtomicBool,
}

impl RunningTask {
    /// A task with this token, which must be too long to guess, and these placeholders by credential name.
    #[must_use]
    pub fn new(task: Task, token: Secret, placeholders: BTreeMap<String, Secret>) -> Self {
        Self { task, token, placeholders, has_namespace: false, ended: AtomicBool::new(false) }
    }

    /// A task of a peer: the peer began it and ends it, and says of each request that it is of this task. No token here admits it.
    #[must_use]
    pub fn of_peer(task: Task) -> Self {
        Self::new(task, Secret::new(Vec::new()), BTreeMap::new())
    }

    /// The same task in a network namespace of its own: whoever reaches its listeners is in there, and so it.
    #[must_use]
    pub fn in_namespace(self) -> Self {
        Self { has_namespace: true, ..self }
    }

    /// Whether it is in a network namespace of its own.
    #[must_use]
    pub fn has_namespace(&self) -> bool {
        self.has_namespace
    }

    /// Whether it has not ended: asked for every request, since connections outlive tasks.
    #[must_use]
    pub fn is_running(&self) -> bool {
        !self.ended.load(Ordering::Acquire)
    }
}

/// A task about to begin, with what its application gets to hold.
#[derive(Debug)]
pub struct NewTask {
    /// What [`super::Callers::begin`] takes.
    pub running: RunningTask,
    /// What admits its requests.
    pub token: Zeroizing<String>,
    /// Environment variable → the placeholder in the vendor's shape.
    pub placeholders: BTreeMap<String, String>,
}

impl NewTask {
    /// A task under this policy: a random id and token, and a placeholder for each credential that names one.
    ///
    /// # Errors
    /// Where the system has no randomness.
    pub fn under(policy: &Policy, labels: BTreeMap<String, String>) -> Result<Self, Unspecified> {
        let named = policy.credentials().iter().filter_map(|one| Some((one.name.as_str(), one.placeholder.as_ref()?)));
        Self::new(labels, named)
    }

    /// A task with a random id and token, and a placeholder for each of these credentials.
    ///
    /// # Errors
    /// Where the system has no randomness.
    pub fn new<'c>(
        labels: BTreeMap<String, String>,
        credentials: impl IntoIterator<Item = (&'c str, &'c Placeholder)>,
    ) -> Result<Self, Unspecified> {
        let token = Zeroizing::new(URL_SAFE_NO_PAD.encode(random::<TOKEN_BYTES>()?.as_slice()));
        let (mut held, mut placeholders) = (BTreeMap::new(), BTreeMap::new());
        for (name, placeholder) in credentials {
            let value = stand_in(placeholder)?;
            held.insert(name.to_owned(), Secret::new(value.clone().into_bytes()));
            placeholders.insert(placeholder.env.clone(), value);
        }
        let task = Task { id: id()?, labels };
        Ok(Self { running: RunningTask::new(task, Secret::new(token.as_bytes().to_vec()), held), token, placeholders })
    }
}

fn id() -> Result<String, Unspecified> {
    Ok(random::<8>()?.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// A worthless value of the vendor's shape: the prefix, then letters and digits.
fn stand_in(placeholder: &Placeholder) -> Result<String, Unspecified> {
    let mut value = placeholder.like.clone();
    let length = value.len() + placeholder.length;
    while value.len() < length {
        let bytes = random::<RANDOM_BYTES>()?;
        // What is no letter or digit is thrown away, so that each is equally likely.
        let usable = bytes.iter().map(|byte| char::from(byte & 0x7f)).filter(char::is_ascii_alphanumeric);
        value.extend(usable.take(length - value.len()));
    }
    Ok(value)
}

fn random<const LENGTH: usize>() -> Result<Zeroizing<[u8; LENGTH]>, Unspecified> {
    let mut bytes = Zeroizing::new([0; LENGTH]);
    rand::fill(&mut *bytes)?;
    Ok(bytes)
}

/// The running tasks. Looking one up takes no lock and writes nothing that cores share.
#[derive(Default)]
pub(super) struct Tasks {
    /// By the keyed hash of their tokens; those that collide are told apart by the token.
    by_token: ArcSwap<HashMap<u64, Vec<Arc<RunningTask>>>>,
    keyed: RandomState,
    /// Tokens of tasks that have ended, by their hashes, oldest first.
    ended: Mutex<VecDeque<(u64, Arc<str>)>>,
    known: Arc<Known>,
}

impl Tasks {
    pub(super) fn knowing(known: Arc<Known>) -> Self {
        Self { known, ..Self::default() }
    }

    pub(super) fn begin(&self, task: RunningTask) -> Arc<RunningTask> {
        let id: Arc<str> = task.task.id.as_str().into();
        self.known.add(&task.token, Thing::Token { task: Arc::clone(&id) });
        for (credential, placeholder) in &task.placeholders {
            self.known.add(placeholder, Thing::Placeholder { credential: credential.as_str().into(), task: Arc::clone(&id) });
        }
        let task = Arc::new(task);
        let hash = task.token.hash_with(&self.keyed);
        self.by_token.rcu(|tasks| {
            let mut tasks = HashMap::clone(tasks);
            tasks.entry(hash).or_default().push(task.clone());
            tasks
        });
        task
    }

    pub(super) fn is_running(&self, id: &str) -> bool {
        self.by_token.load().values().flatten().any(|task| task.task.id == id && task.is_running())
    }

    pub(super) fn end(&self, id: &str) {
        // First the flag: whoever finds the task in the old table sees that it has ended.
        for task in self.by_token.load().values().flatten().filter(|task| task.task.id == id) {
            task.ended.store(true, Ordering::Release);
            let mut ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
            ended.truncate(ENDED_MAX - 1);
            ended.push_front((task.token.hash_with(&self.keyed), id.into()));
        }
        self.by_token.rcu(|tasks| {
            let mut tasks = HashMap::clone(tasks);
            tasks.retain(|_, same| {
                same.retain(|task| task.task.id != id);
                !same.is_empty()
            });
            tasks
        });
    }

    /// The task whose token the proxy credentials of a request hold; `None` where it has none.
    pub(super) fn presented(&self, headers: &HeaderMap) -> Result<Option<Arc<RunningTask>>, Unproven> {
        let mut values = headers.get_all(PROXY_AUTHORIZATION).iter();
        match (values.next(), values.next()) {
            (None, _) => Ok(None),
            (Some(value), None) => token_in(value, |token| self.by_token(token)).map(Some).ok_or(Unproven::WrongToken),
            (Some(_), Some(_)) => Err(Unproven::WrongToken),
        }
    }

    /// The task that has ended, where that is whose token the proxy credentials hold.
    pub(super) fn ended(&self, headers: &HeaderMap) -> Option<Arc<str>> {
        let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        token_in(headers.get(PROXY_AUTHORIZATION)?, |token| {
            let hash = self.keyed.hash_one(token);
            ended.iter().find(|(known, _)| *known == hash).map(|(_, id)| Arc::clone(id))
        })
    }

    fn by_token(&self, token: &[u8]) -> Option<Arc<RunningTask>> {
        let tasks = self.by_token.load();
        let found = tasks.get(&self.keyed.hash_one(token))?.iter().find(|task| task.token.is(token))?;
        found.is_running().then(|| found.clone())
    }
}

/// What is found by the token in proxy credentials.
fn token_in<T>(value: &HeaderValue, find: impl Fn(&[u8]) -> Option<T>) -> Option<T> {
    let (scheme, credentials) = value.as_bytes().split_at_checked(value.as_bytes().iter().position(|byte| *byte == b' ')?)?;
    let credentials = credentials.trim_ascii();
    if scheme.eq_ignore_ascii_case(b"bearer") {
        return find(credentials);
    }
    if !scheme.eq_ignore_ascii_case(b"basic") {
        return None;
    }
    let mut decoded = Zeroizing::new([0; PRESENTED_BYTES_MAX]);
    let length = LENIENT.decode_slice(credentials, &mut *decoded).ok()?;
    find(decoded.get(..length)?.strip_prefix(USER)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn placeholder() -> Placeholder {
        Placeholder { env: "STRIPE_KEY".into(), like: "sk_test_".into(), length: 24 }
    }

    fn begun(tasks: &Tasks) -> (Arc<RunningTask>, Zeroizing<String>) {
        let new = NewTask::new(BTreeMap::new(), [("stripe", &placeholder())]).unwrap();
        (tasks.begin(new.running), new.token)
    }

    fn headers(values: &[&str]) -> HeaderMap {
        values.iter().map(|value| (PROXY_AUTHORIZATION, value.parse().unwrap())).collect()
    }

    fn presented(tasks: &Tasks, value: &str) -> Result<Option<String>, Unproven> {
        Ok(tasks.presented(&headers(&[value]))?.map(|task| task.task.id.clone()))
    }

    fn basic(pair: &str) -> String {
        format!("Basic {}", LENIENT.encode(pair))
    }

    #[test]
    fn the_token_finds_its_task_and_no_other() {
        let tasks = Tasks::default();
        let ((one, first), (two, second)) = (begun(&tasks), begun(&tasks));
        assert_ne!(one.task.id, two.task.id);
        for (task, token) in [(&one, &first), (&two, &second)] {
            assert_eq!(presented(&tasks, &format!("Bearer {}", **token)), Ok(Some(task.task.id.clone())));
            assert_eq!(presented(&tasks, &basic(&format!("task:{}", **token))), Ok(Some(task.task.id.clone())));
            assert_eq!(presented(&tasks, basic(&format!("task:{}", **token)).trim_end_matches('=')), Ok(Some(task.task.id.clone())));
        }
    }

    #[test]
    fn everything_else_is_a_wrong_token() {
        let tasks = Tasks::default();
        let (_, token) = begun(&tasks);
        let token = token.as_str();
        let long = basic(&format!("task:{}", "x".repeat(5000)));
        for value in [
            "",
            "Bearer",
            "Bearer ",
            "Basic %%%",
            "Digest x",
            token,
            &long,
            &basic(token),
            &basic(&format!("user:{token}")),
            &format!("Bearer {token}x"),
            &format!("Bearer {}", &token[1..]),
            &format!("Negotiate {token}"),
        ] {
            assert_eq!(presented(&tasks, value), Err(Unproven::WrongToken), "{value}");
        }
        let good = format!("Bearer {token}");
        assert_eq!(tasks.presented(&headers(&[&good, &good])).err(), Some(Unproven::WrongToken));
        assert!(tasks.presented(&HeaderMap::new()).unwrap().is_none());
    }

    #[test]
    fn a_task_that_ended_is_refused_everywhere() {
        let tasks = Tasks::default();
        let ((ended, token), (other, still)) = (begun(&tasks), begun(&tasks));
        tasks.end(&ended.task.id);
        assert_eq!(presented(&tasks, &format!("Bearer {}", *token)), Err(Unproven::WrongToken));
        let named = |token: &str| tasks.ended(&headers(&[&basic(&format!("task:{token}"))]));
        assert_eq!(named(&token).as_deref(), Some(&*ended.task.id));
        assert_eq!((named(&still), named("another")), (None, None));
        assert!(!ended.is_running() && other.is_running());
        assert_eq!(presented(&tasks, &format!("Bearer {}", *still)), Ok(Some(other.task.id.clone())));
    }

    #[test]
    fn a_placeholder_has_the_shape_of_the_vendors_key_and_never_repeats() {
        let make = || NewTask::new(BTreeMap::new(), [("stripe", &placeholder())]).unwrap();
        let (one, two) = (make(), make());
        let random = one.placeholders["STRIPE_KEY"].strip_prefix("sk_test_").unwrap();
        assert!(random.len() == 24 && random.chars().all(|letter| letter.is_ascii_alphanumeric()));
        assert_ne!(one.placeholders["STRIPE_KEY"], two.placeholders["STRIPE_KEY"]);
        assert!(one.running.placeholders["stripe"].is(one.placeholders["STRIPE_KEY"].as_bytes()));
        assert!(one.running.task.id.len() == 16 && one.running.task.id.chars().all(|digit| digit.is_ascii_hexdigit()));
    }

    #[test]
    fn nothing_prints_the_token() {
        let new = NewTask::new(BTreeMap::new(), []).unwrap();
        assert!(!format!("{:?}", new.running).contains(new.token.as_str()));
    }
}
