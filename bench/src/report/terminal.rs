//! Tables for a terminal.

use std::fmt::Write;

use crate::results::{Held, Outcome, Report, Row, Spread, Unit, Verdict};

use super::figures::{limit, metrics, number, unit_of};

/// Everything, one table for each scenario.
#[must_use]
pub fn terminal(report: &Report) -> String {
    let mut text = format!(
        "keygress bench, {} · {} cores of {} · Linux {}{}\n",
        report.began,
        report.machine.cores,
        report.machine.processor,
        report.machine.kernel,
        if report.quick { " · quick: fewer requests and rounds than a full run" } else { "" }
    );
    for outcome in &report.outcomes {
        text += &table(outcome);
    }
    text
}

/// One scenario: a row for each contender, a column for each metric, then the bars.
#[must_use]
pub fn table(outcome: &Outcome) -> String {
    let metrics = metrics(outcome);
    let mut lines = vec![std::iter::once(String::new()).chain(metrics.iter().map(|metric| heading(outcome, metric))).collect::<Vec<_>>()];
    for row in &outcome.rows {
        let cells = metrics.iter().map(|metric| row.spread(metric).map_or_else(String::new, cell));
        lines.push(std::iter::once(row.contender.clone()).chain(cells).collect());
    }
    let mut text = format!("\n{}  {}\n", outcome.scenario, outcome.title);
    for condition in &outcome.conditions {
        let _ = writeln!(text, "    {condition}");
    }
    text += &columns(&lines);
    for row in &outcome.rows {
        text += &troubles(row);
    }
    for held in &outcome.bars {
        let _ = writeln!(text, "  {}", bar(held));
    }
    for note in &outcome.notes {
        let _ = writeln!(text, "  note: {note}");
    }
    text
}

fn heading(outcome: &Outcome, metric: &str) -> String {
    match unit_of(outcome, metric).map_or("", Unit::as_str) {
        "" => metric.to_owned(),
        unit => format!("{metric}, {unit}"),
    }
}

/// `21.9 (21.4–23.0)`.
fn cell(spread: Spread) -> String {
    if spread.min < spread.max {
        format!("{} ({}–{})", number(spread.median), number(spread.min), number(spread.max))
    } else {
        number(spread.median)
    }
}

/// Left-bound names, right-bound figures.
fn columns(lines: &[Vec<String>]) -> String {
    let columns = lines.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| lines.iter().filter_map(|line| line.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for line in lines {
        let mut out = String::from("  ");
        for (at, (cell, width)) in line.iter().zip(&widths).enumerate() {
            let _ = if at == 0 { write!(out, "{cell:<width$}") } else { write!(out, "  {cell:>width$}") };
        }
        text += out.trim_end();
        text.push('\n');
    }
    text
}

/// Wrong answers and runs that do not count; nothing where all went well.
fn troubles(row: &Row) -> String {
    let mut text = String::new();
    for run in row.runs.iter().filter(|run| run.spoiled.is_none()) {
        for (kind, count) in &run.errors {
            let _ = writeln!(text, "  {}: {count} of {} wrong: {kind}", row.contender, run.right + run.errors.values().sum::<u64>());
        }
    }
    let spoiled: Vec<&str> = row.runs.iter().filter_map(|run| run.spoiled.as_deref()).collect();
    if let Some(why) = spoiled.first() {
        let _ = writeln!(text, "  {}: {} of {} runs do not count: {why}", row.contender, spoiled.len(), row.runs.len());
    }
    text
}

/// `reached  cpu per request 21.9 ≤ 23.8 (0.95 × the better of nginx, haproxy)`.
fn bar(held: &Held) -> String {
    let word = match held.verdict() {
        Verdict::Reached => "reached",
        Verdict::Missed => "MISSED ",
        Verdict::Unknown => "unknown",
    };
    let shown = |value: Option<f64>| value.map_or_else(|| "?".to_owned(), number);
    let (sign, source) = limit(&held.bar.limit);
    let source = source.map(|source| format!(" ({source})")).unwrap_or_default();
    format!("{word}  {} {} {sign} {}{source}", held.bar.metric, shown(held.figure), shown(held.limit))
}
