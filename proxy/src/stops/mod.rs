//! The kill switch: what was suspended or revoked by hand, and the running requests that end by it.

/// What is stopped, in the words of who stops it.
mod order;

/// What runs on one worker, and how it ends.
mod tie;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arc_swap::ArcSwap;
use keygress_policy::compile::HostPattern;
use keygress_policy::destination::Host;
use tokio::sync::watch;

use crate::Credential;
use crate::refusal::{Code, Refusal};

pub use order::{Measure, Order, Subject, Target};
pub use tie::{Concern, Cut, Tie, Ties};

/// Stops in force at once, at most.
const STOPS_MAX: usize = 10_000;

/// What is stopped now. To ask costs one load where nothing is.
pub struct Stops {
    table: ArcSwap<Table>,
    in_force: AtomicUsize,
    /// Tells the workers to look through what runs.
    review: watch::Sender<u64>,
}

/// Stops by what they name.
#[derive(Clone, Default)]
struct Table {
    credentials: HashMap<Arc<str>, Arc<Order>>,
    owners: HashMap<Arc<str>, Arc<Order>>,
    workloads: HashMap<Arc<str>, Arc<Order>>,
    tasks: HashMap<Arc<str>, Arc<Order>>,
    hosts: Vec<(HostPattern, Arc<Order>)>,
}

/// Whom and what one request concerns, as far as a stop can name it.
#[derive(Clone, Copy)]
pub struct About<'a> {
    /// Which of the policy's workloads the caller is.
    pub workloads: &'a [Arc<str>],
    /// Its task.
    pub task: Option<&'a str>,
    /// Where the request goes.
    pub host: &'a Host,
    /// What would be put on it.
    pub credential: Option<&'a Credential>,
}

impl Default for Stops {
    fn default() -> Self {
        Self::new(Vec::new())
    }
}

impl Stops {
    /// Begins with these in force.
    #[must_use]
    pub fn new(orders: Vec<Order>) -> Self {
        let mut table = Table::default();
        orders.into_iter().for_each(|order| table.put(order));
        let in_force = AtomicUsize::new(table.orders().count());
        Self { table: ArcSwap::from_pointee(table), in_force, review: watch::Sender::new(0) }
    }

    /// Lets a request pass unless something that it concerns is stopped.
    ///
    /// # Errors
    /// [`Code::Suspended`] or [`Code::Revoked`], with who and since when.
    pub fn check(&self, about: About<'_>) -> Result<(), Refusal> {
        if self.in_force.load(Ordering::Acquire) == 0 {
            return Ok(());
        }
        self.table.load().stopping(about).map_or(Ok(()), |order| Err(refusal(order)))
    }

    /// Puts an order in force: whoever asks from now on is refused, and what runs under it ends.
    ///
    /// # Errors
    /// Where there are too many.
    pub fn put(&self, order: Order) -> Result<(), String> {
        let known = self.table.load().find(&order.target).is_some();
        if !known && self.in_force.load(Ordering::Acquire) >= STOPS_MAX {
            return Err(format!("{STOPS_MAX} stops are in force already: resume what may go on"));
        }
        self.change(|table| table.put(order.clone()));
        Ok(())
    }

    /// Lifts what is in force for this target, and says what that was.
    pub fn lift(&self, target: &Target) -> Option<Arc<Order>> {
        let found = self.table.load().find(target).cloned();
        if found.is_some() {
            self.change(|table| table.lift(target));
        }
        found
    }

    /// What is in force, oldest first.
    #[must_use]
    pub fn orders(&self) -> Vec<Arc<Order>> {
        let mut orders: Vec<_> = self.table.load().orders().cloned().collect();
        orders.sort_by_key(|order| order.since);
        orders
    }

    /// Tells the workers to look through what runs: a task has ended, or a policy came into force.
    pub fn review(&self) {
        self.review.send_modify(|reviews| *reviews += 1);
    }

    /// Follows what [`Stops::review`] tells.
    #[must_use]
    pub fn reviews(&self) -> watch::Receiver<u64> {
        self.review.subscribe()
    }

    fn change(&self, change: impl Fn(&mut Table)) {
        self.table.rcu(|table| {
            let mut table = Table::clone(table);
            change(&mut table);
            table
        });
        self.in_force.store(self.table.load().orders().count(), Ordering::Release);
        self.review();
    }
}

impl Table {
    fn stopping(&self, about: About<'_>) -> Option<&Arc<Order>> {
        let by_credential = || {
            let credential = about.credential?;
            self.credentials.get(credential.name.as_str()).or_else(|| self.owners.get(credential.owner.as_str()))
        };
        let by_workload = || about.workloads.iter().find_map(|name| self.workloads.get(name));
        let by_host = || self.hosts.iter().find(|(pattern, _)| pattern.matches(about.host)).map(|(_, order)| order);
        by_credential().or_else(|| self.tasks.get(about.task?)).or_else(by_workload).or_else(by_host)
    }

    fn find(&self, target: &Target) -> Option<&Arc<Order>> {
        match target.subject() {
            Subject::Credential => self.credentials.get(target.name()),
            Subject::Owner => self.owners.get(target.name()),
            Subject::Workload => self.workloads.get(target.name()),
            Subject::Task => self.tasks.get(target.name()),
            Subject::Host => self.hosts.iter().find(|(_, order)| order.target == *target).map(|(_, order)| order),
        }
    }

    fn put(&mut self, order: Order) {
        let (name, order): (Arc<str>, _) = (order.target.name().into(), Arc::new(order));
        match order.target.subject() {
            Subject::Credential => drop(self.credentials.insert(name, order)),
            Subject::Owner => drop(self.owners.insert(name, order)),
            Subject::Workload => drop(self.workloads.insert(name, order)),
            Subject::Task => drop(self.tasks.insert(name, order)),
            Subject::Host => {
                self.lift(&order.target);
                self.hosts.extend(order.target.host().map(|pattern| (pattern.clone(), order.clone())));
            }
        }
    }

    fn lift(&mut self, target: &Target) {
        match target.subject() {
            Subject::Credential => drop(self.credentials.remove(target.name())),
            Subject::Owner => drop(self.owners.remove(target.name())),
            Subject::Workload => drop(self.workloads.remove(target.name())),
            Subject::Task => drop(self.tasks.remove(target.name())),
            Subject::Host => self.hosts.retain(|(_, order)| order.target != *target),
        }
    }

    fn orders(&self) -> impl Iterator<Item = &Arc<Order>> {
        let named = [&self.credentials, &self.owners, &self.workloads, &self.tasks];
        named.into_iter().flat_map(HashMap::values).chain(self.hosts.iter().map(|(_, order)| order))
    }
}

fn refusal(order: &Order) -> Refusal {
    let code = match order.measure {
        Measure::Suspended => Code::Suspended,
        Measure::Revoked => Code::Revoked,
    };
    Refusal::new(code, order.describe())
}

#[cfg(test)]
mod tests;
