use std::collections::BTreeMap;

use super::{Issued, Row, Stopped};

/// What the rows add up to: leases that have not ended, stops in force.
#[derive(Debug, Default)]
pub(super) struct Book {
    leases: BTreeMap<String, Issued>,
    stops: BTreeMap<(&'static str, String), Stopped>,
}

impl Book {
    pub(super) fn apply(&mut self, row: &Row) {
        match row {
            Row::Begun { .. } => {}
            Row::Issued(issued) => drop(self.leases.insert(issued.lease.clone(), Issued::clone(issued))),
            Row::Ended { lease, .. } => drop(self.leases.remove(lease)),
            Row::Stopped(stopped) => {
                drop(self.stops.insert((stopped.subject.as_str(), stopped.name.clone()), stopped.clone()));
            }
            Row::Resumed { subject, name } => drop(self.stops.remove(&(subject.as_str(), name.clone()))),
        }
    }

    /// The fewest rows that add up to the same.
    pub(super) fn rows(&self) -> Vec<Row> {
        let leases = self.leases.values().cloned().map(|issued| Row::Issued(Box::new(issued)));
        leases.chain(self.stops.values().cloned().map(Row::Stopped)).collect()
    }

    pub(super) fn leases(&self) -> Vec<Issued> {
        self.leases.values().cloned().collect()
    }

    pub(super) fn stops(&self) -> Vec<Stopped> {
        self.stops.values().cloned().collect()
    }

    pub(super) fn len(&self) -> usize {
        self.leases.len() + self.stops.len()
    }
}
