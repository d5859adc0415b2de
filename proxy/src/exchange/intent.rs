//! What a strict audit holds before a credential leaves: who is about to use which lease, and where. On the disk first, then on the wire.

use std::sync::Arc;

use super::Use;
use super::record::Record;
use crate::audit::{Event, Kind};
use crate::refusal::{Code, Refusal};

impl Record<'_> {
    /// In a strict audit: on the disk when it returns that this value is about to leave. Where it is not strict, and where nothing is put
    /// on, there is nothing to wait for.
    ///
    /// # Errors
    /// [`Code::AuditUnavailable`]: nothing may leave.
    pub(super) async fn intend(&mut self, use_of: &Use<'_>) -> Result<(), Refusal> {
        let audit = &self.line.shared().audit;
        if !audit.is_strict() {
            return Ok(());
        }
        let Some(ready) = use_of.ready() else { return Ok(()) };
        // A second attempt with the same value is the same use.
        if self.intended.as_ref().is_some_and(|lease| Arc::ptr_eq(lease, &ready.lease)) {
            return Ok(());
        }
        let (lease, fingerprint) = (Some(Arc::clone(&ready.lease)), Some(Arc::clone(&ready.fingerprint)));
        let event = Event { kind: Kind::Intended, lease, fingerprint, ..self.event.clone() };
        Box::pin(audit.durable(event)).await.map_err(|_| {
            Refusal::new(Code::AuditUnavailable, "the audit did not take the record of this use in time, and nothing was sent")
                .by_rule(self.event.rule.as_deref().unwrap_or_default())
        })?;
        self.intended = Some(Arc::clone(&ready.lease));
        // It took time: nothing leaves for a task that has ended meanwhile.
        use_of.sight.still_runs()
    }

    /// The same before a connection is made, where a certificate is shown while it is made.
    ///
    /// # Errors
    /// As [`Record::intend`].
    pub(super) async fn intend_to_show(&mut self, use_of: &Use<'_>) -> Result<(), Refusal> {
        if use_of.client_auth().is_some() { self.intend(use_of).await } else { Ok(()) }
    }
}
