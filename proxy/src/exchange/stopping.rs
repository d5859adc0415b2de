//! What it takes to stop something, whoever says so: in force at once, on record, and revoked where that was asked for.

use super::Shared;
use crate::audit::{Event, Kind};
use crate::credentials::Ended;
use crate::state::{Row, Stopped};
use crate::stops::{Measure, Order, Subject};

/// How stopping went.
pub struct Stopping {
    /// What became of what was issued, where that was to be revoked.
    pub ended: Option<Ended>,
    /// Whether it is on record, and survives a restart where anything does.
    pub recorded: Result<(), String>,
}

impl Shared {
    /// Puts an order in force. It is when this is first polled; it returns when that is on record, and when the issuers were told or 5 s
    /// are over.
    ///
    /// # Errors
    /// Where too many are in force: then this one is not.
    pub async fn stop(&self, order: &Order) -> Result<Stopping, String> {
        self.stops.put(order.clone())?;
        let ended = self.take_back(order);
        let recorded = self.record_stop(Kind::Stopped, order, order.describe(), Row::Stopped(Stopped::from(order)));
        let (ended, recorded) = tokio::join!(ended, recorded);
        Ok(Stopping { ended, recorded })
    }

    /// Takes back what was issued, where that was asked for.
    fn take_back(&self, order: &Order) -> impl Future<Output = Option<Ended>> + use<> {
        let (wanted, is_task) = (order.measure == Measure::Revoked, order.target.subject() == Subject::Task);
        let task = (wanted && is_task).then(|| self.end_task(order.target.name()));
        let others = (wanted && !is_task).then(|| self.credentials.recall(&order.target));
        async {
            match (task, others) {
                (Some(ending), _) => Some(ending.await),
                (None, Some(ending)) => Some(ending.await),
                (None, None) => None,
            }
        }
    }

    /// On the disk when it returns: in the audit, and in the ledger where there is one.
    ///
    /// # Errors
    /// Which of the two could not take it.
    pub async fn record_stop(&self, kind: Kind, order: &Order, message: String, row: Row) -> Result<(), String> {
        let target = &order.target;
        let named = |subject| (target.subject() == subject).then(|| target.shared());
        let event = Event {
            credential: named(Subject::Credential),
            workload: named(Subject::Workload),
            task: named(Subject::Task),
            code: Some(order.measure.as_str()),
            message: Some(message.into()),
            ..Event::new(kind)
        };
        let keep = async {
            match &self.ledger {
                Some(ledger) => ledger.write(row).await.map_err(|error| format!("the ledger cannot keep it: {error}")),
                None => Ok(()),
            }
        };
        let (kept, recorded) = tokio::join!(keep, self.audit.durable(event));
        kept.and(recorded.map_err(|error| format!("the audit cannot record it: {error}")))
    }
}
