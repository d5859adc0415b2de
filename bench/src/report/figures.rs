//! What tables and plots ask of an outcome.

use crate::results::{Outcome, Unit};

/// The metrics of an outcome, each once, in the order in which they come; CPU time first, for it repeats best.
pub(super) fn metrics(outcome: &Outcome) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for figure in outcome.rows.iter().flat_map(|row| &row.runs).flat_map(|run| &run.figures) {
        if !names.contains(&figure.metric) {
            names.push(figure.metric.clone());
        }
    }
    names.sort_by_key(|name| name != crate::results::metric::CPU_PER_REQUEST);
    names
}

/// The unit of a metric.
pub(super) fn unit_of(outcome: &Outcome, metric: &str) -> Option<Unit> {
    let figures = outcome.rows.iter().flat_map(|row| &row.runs).flat_map(|run| &run.figures);
    figures.into_iter().find(|figure| figure.metric == metric).map(|figure| figure.unit)
}
