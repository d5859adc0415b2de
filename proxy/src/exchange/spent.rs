//! The use of a credential by one request: from the slot that the application may have filled to what must not come back.

use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use http::Response;
use http::request::Parts;
use hyper::body::Incoming;
use jiff::Timestamp;
use keygress_policy::decide::Grant;
use keygress_policy::inject::{Heard, Payload, Sending, strip};

use super::record::Record;
use super::refused::{no_credential, not_read, slot_refused};
use super::{Line, Sight};
use crate::Credential;
use crate::body::Body;
use crate::client_auth::ClientAuth;
use crate::credentials::{Ready, Slot, Source, nonce};
use crate::forward::{Shelf, Target};
use crate::needles::{Needles, VALUE_BYTES_MIN};
use crate::refusal::{Code, Refusal};
use crate::scrub::{self, Depth, Sieve};

/// The use of a credential by one request: nothing where the grant has none.
pub(super) struct Use<'g> {
    pub(super) sight: Rc<Sight>,
    credential: Option<(&'g Arc<Credential>, Arc<Slot>, Arc<Ready>)>,
    /// What must not come back: the value, and those before it that may have left.
    needles: Option<Arc<Needles>>,
    depth: Depth,
}

impl<'g> Use<'g> {
    /// Checks the slot that the application may have filled, strips its other credentials, and has the value ready.
    pub(super) async fn prepare(
        line: &Line,
        sight: &Rc<Sight>,
        grant: &Grant<'g, Source>,
        head: &mut Parts,
        record: &mut Record<'_>,
    ) -> Result<Self, Refusal> {
        let Some(credential) = grant.credential else {
            // What the application holds, a placeholder or a key of its own, leaves only where the rule forwards it by name.
            record.stripped(strip(head, &grant.rule.forward, None));
            return Ok(Self { sight: Rc::clone(sight), credential: None, needles: None, depth: Depth::Whole });
        };
        credential.injection.admit(head, sight.placeholder(credential)).map_err(|refusal| slot_refused(grant, refusal))?;
        record.stripped(strip(head, &grant.rule.forward, Some(&credential.injection)));
        if !line.shared().audit.healthy() {
            return Err(Refusal::new(Code::AuditUnavailable, "the audit does not take records now").by_rule(&grant.rule.name));
        }
        let slot = sight.slot(line.shared(), credential);
        let ready = match slot.ready() {
            Some(ready) => ready,
            None => {
                slot.called_for_by(&grant.rule.name);
                slot.wait().await.map_err(|unavailable| no_credential(grant, unavailable))?
            }
        };
        let depth = if grant.unscrubbed { Depth::Fields } else { Depth::Whole };
        if depth == Depth::Whole {
            scrub::ask(&mut head.headers);
        }
        let needles = searchable(credential, &ready, depth)?;
        Ok(Self { sight: Rc::clone(sight), credential: Some((credential, slot, ready)), needles, depth })
    }

    /// To dial took time: what was revoked or has expired meanwhile is not put on, and nothing is sent for a task that has ended.
    pub(super) async fn confirm(&mut self) -> Result<(), Refusal> {
        self.sight.still_runs()?;
        self.take_fresh().await
    }

    /// Reads the body, where the credential signs or changes it, and checks the slot in it that the application may have filled.
    pub(super) async fn read(
        &self,
        grant: &Grant<'g, Source>,
        head: &Parts,
        shelf: &Shelf,
        body: Body,
        record: &mut Record<'_>,
    ) -> Result<Body, Refusal> {
        let Some((credential, _, _)) = &self.credential else { return Ok(body) };
        let Some(bytes_max) = credential.injection.body_bytes_max(head, shelf.authority()) else { return Ok(body) };
        record.waits();
        let body = Box::pin(body.whole(bytes_max)).await.map_err(|unread| not_read(&unread))?;
        record.goes_on();
        let admitted = credential.injection.admit_body(head, body.bytes().unwrap_or_default(), self.sight.placeholder(credential));
        admitted.map_err(|refusal| slot_refused(grant, refusal))?;
        Ok(body)
    }

    /// Puts the credential on the head, and on the body where it signs or changes that.
    pub(super) fn put_on(&self, head: &mut Parts, body: Body, shelf: &Shelf) -> Result<Body, Refusal> {
        let Some((credential, _, ready)) = &self.credential else { return Ok(body) };
        let sending = Sending { now: Timestamp::now(), nonce, scheme: shelf.scheme(), authority: shelf.authority(), body: body.bytes() };
        let payload = credential.injection.act(head, &ready.rendered, &sending).map_err(|why| Refusal::new(Code::BadRequest, why))?;
        Ok(match payload {
            Payload::AsItCame => body,
            Payload::Replaced(bytes) => Body::text(Bytes::from_owner(bytes)),
            Payload::Resigned(chunks) => body.resigned(chunks),
        })
    }

    /// The certificate that proves us, where that is what the credential is.
    pub(super) fn client_auth(&self) -> Option<&Arc<ClientAuth>> {
        self.ready()?.client_auth.as_ref()
    }

    /// A certificate that was replaced while its connection was made is not taken for the new one.
    pub(super) fn is_shown_to(&self, target: &Target<'_>) -> Result<(), Refusal> {
        if self.client_auth() == target.client_auth {
            return Ok(());
        }
        Err(Refusal::new(Code::NoCredential, "the client certificate was replaced at that moment").retry_after(Some(1)))
    }

    pub(super) fn ready(&self) -> Option<&Ready> {
        self.credential.as_ref().map(|(_, _, ready)| &**ready)
    }

    /// A 401 is answered with a fresh value where the provider can mint one, and the request is sent again as it was.
    pub(super) fn may_renew(&self) -> bool {
        use keygress_policy::Source as _;
        self.client_auth().is_none() && self.credential.as_ref().is_some_and(|(credential, _, _)| !credential.source.is_static())
    }

    /// What the answer itself makes up for needs no fresh value: a proof that lacked the nonce of its destination.
    pub(super) async fn renew(&mut self, response: &Response<Incoming>) -> Result<(), Refusal> {
        if let Some((credential, slot, ready)) = &self.credential {
            if credential.injection.hear(&ready.rendered, response.status(), response.headers()) == Heard::Again {
                return Ok(());
            }
            slot.invalidate(ready);
        }
        self.take_fresh().await
    }

    /// The value that is ready now.
    async fn take_fresh(&mut self) -> Result<(), Refusal> {
        let Some((credential, slot, ready)) = &mut self.credential else { return Ok(()) };
        let fresh = slot.wait().await.map_err(|unavailable| {
            Refusal::new(Code::NoCredential, format!("`{}`: {}", credential.name, unavailable.reason)).retry_after(unavailable.retry_after)
        })?;
        if !Arc::ptr_eq(ready, &fresh) {
            let needles = searchable(credential, &fresh, self.depth)?;
            self.needles = match (self.needles.take(), needles) {
                (Some(old), Some(new)) => Some(old.and(&new)),
                (old, new) => old.or(new),
            };
            *ready = fresh;
        }
        Ok(())
    }

    /// Masks the head of what comes back, and prepares what watches the rest; nothing where no credential was put on.
    pub(super) fn watch(&self, response: &mut Response<Incoming>, record: &mut Record<'_>) -> Result<Option<Sieve>, Refusal> {
        if let Some((credential, _, ready)) = &self.credential {
            let _ = credential.injection.hear(&ready.rendered, response.status(), response.headers());
            if self.depth == Depth::Fields {
                record.unscrubbed();
            }
        }
        let Some(needles) = &self.needles else { return Ok(None) };
        scrub::answer(response, needles, self.depth).map(|sieve| Some(record.follow(sieve)))
    }
}

/// What must not come back of a value. One that is too short to be told from ordinary text is not put on where answers are searched.
fn searchable(credential: &Credential, ready: &Ready, depth: Depth) -> Result<Option<Arc<Needles>>, Refusal> {
    match (&ready.needles, depth) {
        (None, Depth::Whole) => Err(Refusal::new(
            Code::NoCredential,
            format!("the value of `{}` is shorter than {VALUE_BYTES_MIN} bytes: an answer cannot be searched for it", credential.name),
        )),
        (needles, Depth::Whole | Depth::Fields) => Ok(needles.clone()),
    }
}
