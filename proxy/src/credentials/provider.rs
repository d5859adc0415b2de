use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::time::Duration;

use keygress_policy::material::{Material, MaterialKind, Secret};
use tokio::sync::watch;

use super::{Purpose, Tools};

/// What each provider does: obtain material, and give it back. Never called on the request path.
pub(super) trait Provider: Send + Sync {
    /// Its YAML key.
    fn kind(&self) -> &'static str;

    /// What it yields.
    fn yields(&self) -> MaterialKind;

    /// Whether what it yields lives until somebody rotates it.
    fn is_static(&self) -> bool;

    /// What is wrong with its shape, as (message, help), in the words of the YAML.
    fn complaints(&self) -> Vec<(String, String)>;

    /// The files whose change calls for another fetch.
    fn files(&self) -> Vec<PathBuf> {
        Vec::new()
    }

    /// The files that it reads, all of them: the sandbox of `serve` leaves no other.
    fn reads(&self) -> Vec<&Path>;

    /// The files that it replaces.
    fn writes(&self) -> Vec<&Path> {
        Vec::new()
    }

    /// The programs that it starts, with their arguments.
    fn programs(&self) -> Vec<&[String]> {
        Vec::new()
    }

    /// The environment variables that it reads.
    fn variables(&self) -> Vec<&str> {
        Vec::new()
    }

    /// Obtains fresh material for this purpose. Bounds its own time; dropping the future leaves nothing behind.
    ///
    /// # Errors
    /// What is missing, in words that are free of secrets and of text from outside.
    fn fetch<'a>(&'a self, tools: &'a Tools, purpose: &'a Purpose) -> Work<'a, Result<Fetched, String>>;

    /// Follows its source for as long as it is awaited, and says each time that what it yields has changed there; `None` where nothing
    /// tells of that.
    fn watch<'a>(&'a self, changed: &'a watch::Sender<()>) -> Option<Work<'a, ()>> {
        let _ = changed;
        None
    }

    /// Whether a fetch that nobody wants any more may be dropped half-way. Not where the issuer gives something to be kept or revoked.
    fn may_be_dropped(&self) -> bool {
        !self.revokes()
    }

    /// Whether the issuer can revoke what it yields. Only then does a lease keep the handle of [`Fetched`].
    fn revokes(&self) -> bool {
        false
    }

    /// Asks the issuer to revoke what this handle names; called only where [`Provider::revokes`].
    ///
    /// # Errors
    /// As [`Provider::fetch`].
    fn revoke<'a>(&'a self, tools: &'a Tools, handle: &'a Secret) -> Work<'a, Result<(), String>> {
        let _ = (tools, handle);
        Box::pin(async { Err(format!("the provider `{}` cannot revoke", self.kind())) })
    }
}

/// A provider at work: boxed, because this is off the request path and the list reads better so.
pub(super) type Work<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What a provider obtained.
#[derive(Debug)]
pub(super) struct Fetched {
    pub(super) material: Material,
    /// How long it lives, counted from before it was asked for; `None` where it does not expire.
    pub(super) lifetime: Option<Duration>,
    /// What revokes it: the token itself, or the name of the lease at the issuer; `None` where nothing does.
    pub(super) handle: Option<Secret>,
}
