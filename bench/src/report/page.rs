//! The page: one file without a script, readable in light and dark.

use std::fmt::Write;

use super::bars::bars;
use super::figures::{counting, latency, limit, memory, metrics, number, unit_of};
use super::lines::{Axis, Line, linear, logarithmic, plot};
use super::markup::{class, escape};
use crate::results::{Held, Outcome, Report, Row, Run, Spread, Unit, Verdict, metric};

const STYLE: &str = include_str!("page.css");
const METHOD: &str = include_str!("method.html");

/// The report as one HTML file.
#[must_use]
pub fn html(report: &Report) -> String {
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width\">\n\
         <title>keygress bench, {}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n",
        escape(&report.began)
    );
    page += &head(report);
    page += &verdict(report);
    page += &overview(report);
    for outcome in &report.outcomes {
        page += &section(outcome);
    }
    page += METHOD;
    page += "</main>\n</body>\n</html>\n";
    page
}

fn head(report: &Report) -> String {
    let machine = &report.machine;
    let quick = if report.quick { "<span class=\"badge\">quick run: fewer requests and rounds</span>" } else { "" };
    let gibibytes = machine.memory_bytes as f64 / (1024.0 * 1024.0 * 1024.0);
    let mut versions: Vec<String> = Vec::new();
    for row in report.outcomes.iter().flat_map(|outcome| &outcome.rows).filter(|row| !row.version.is_empty()) {
        let version = format!("{} {}", row.contender, row.version);
        if !versions.contains(&version) {
            versions.push(version);
        }
    }
    format!(
        "<h1>keygress bench{quick}</h1>\n<p class=\"soft\">{} · {} cores, {} · {} GiB · Linux {}<br>{}<br><code>{}</code></p>\n",
        escape(&report.began),
        machine.cores,
        escape(&machine.processor),
        number(gibibytes),
        escape(&machine.kernel),
        escape(&versions.join(" · ")),
        escape(&report.command)
    )
}

/// Every bar of the run in one table.
fn verdict(report: &Report) -> String {
    let held: Vec<(&Outcome, &Held)> =
        report.outcomes.iter().flat_map(|outcome| outcome.bars.iter().map(move |held| (outcome, held))).collect();
    if held.is_empty() {
        return String::new();
    }
    let count = |verdict: Verdict| held.iter().filter(|(_, held)| held.verdict() == verdict).count();
    let unknown = match count(Verdict::Unknown) {
        0 => String::new(),
        some => format!(", <span class=\"unknown\">{some} not in this run</span>"),
    };
    let mut html = format!(
        "<p class=\"verdict\"><span class=\"reached\">{} bars reached</span>, <span class=\"missed\">{} missed</span>{unknown}</p>\n",
        count(Verdict::Reached),
        count(Verdict::Missed)
    );
    html += "<div class=\"scroll\"><table>\n<thead><tr><th>scenario</th><th class=\"text\">what</th><th>keygress</th><th>bar</th>\
             <th class=\"text\">which is</th><th class=\"text\"></th></tr></thead>\n<tbody>\n";
    for (outcome, held) in held {
        html += &verdict_row(outcome, held);
    }
    html += "</tbody>\n</table></div>\n";
    html
}

fn verdict_row(outcome: &Outcome, held: &Held) -> String {
    let (class, word) = match held.verdict() {
        Verdict::Reached => ("reached", "✓ reached"),
        Verdict::Missed => ("missed", "✗ missed"),
        Verdict::Unknown => ("unknown", "not in this run"),
    };
    let (sign, source) = limit(&held.bar.limit);
    let shown = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), number);
    let unit = unit_of(outcome, &held.bar.metric).map_or("", Unit::as_str);
    format!(
        "<tr><td><a href=\"#{id}\">{id}</a></td><td class=\"text\">{}</td><td class=\"keygress\">{} {unit}</td><td>{sign} {} {unit}</td>\
         <td class=\"text\">{}</td><td class=\"text {class}\">{word}</td></tr>\n",
        escape(&held.bar.metric),
        shown(held.figure),
        shown(held.limit),
        escape(&source.unwrap_or_else(|| "fixed".to_owned())),
        id = escape(&outcome.scenario),
    )
}

/// CPU per request of everybody in every scenario.
fn overview(report: &Report) -> String {
    let with_cpu: Vec<&Outcome> = report
        .outcomes
        .iter()
        .filter(|outcome| outcome.rows.iter().filter(|row| row.spread(metric::CPU_PER_REQUEST).is_some()).count() > 1)
        .filter(|outcome| outcome.row("keygress").is_some())
        .collect();
    let mut names: Vec<&str> = Vec::new();
    for row in with_cpu.iter().flat_map(|outcome| &outcome.rows).filter(|row| row.spread(metric::CPU_PER_REQUEST).is_some()) {
        if !names.contains(&row.contender.as_str()) {
            names.push(&row.contender);
        }
    }
    if names.len() < 2 {
        return String::new();
    }
    let mut html = "<h3>CPU time of the proxy per request, µs, and how many times that of keygress: <span class=\"reached\">more</span> or <span class=\"missed\">less</span></h3>\n<div class=\"scroll\"><table>\n\
                    <thead><tr><th>scenario</th>"
        .to_owned();
    for name in &names {
        let _ = write!(html, "<th>{}</th>", escape(name));
    }
    html += "</tr></thead>\n<tbody>\n";
    for outcome in with_cpu {
        let median = |name: &str| Some(outcome.row(name)?.spread(metric::CPU_PER_REQUEST)?.median);
        let _ = write!(html, "<tr><td><a href=\"#{id}\">{id}</a> {}</td>", escape(&outcome.title), id = escape(&outcome.scenario));
        for name in &names {
            html += &match (median(name), median("keygress")) {
                (Some(median), Some(_)) if *name == "keygress" => format!("<td class=\"keygress\">{}</td>", number(median)),
                (Some(median), Some(ours)) if ours > 0.0 => beside(name, median, median / ours),
                _ => "<td>–</td>".to_owned(),
            };
        }
        html += "</tr>\n";
    }
    html += "</tbody>\n</table></div>\n";
    html
}

/// A peer's figure, with how many times that of keygress it is; in colour, who needs less and who more.
fn beside(name: &str, median: f64, times: f64) -> String {
    let colour = match times {
        _ if name == "floor" => "",
        ..0.995 => " missed",
        1.005.. => " reached",
        _ => "",
    };
    format!("<td>{} <span class=\"times{colour}\">{times:.2}×</span></td>", number(median))
}

fn section(outcome: &Outcome) -> String {
    let id = escape(&outcome.scenario);
    let mut html = format!("<h2 id=\"{id}\"><span class=\"id\">{id}</span>{}</h2>\n", escape(&outcome.title));
    html += "<ul class=\"conditions\">\n";
    for condition in &outcome.conditions {
        let _ = writeln!(html, "<li>{}</li>", escape(condition));
    }
    html += "</ul>\n";
    let plots = plots(outcome);
    if !plots.is_empty() {
        let _ = writeln!(html, "<div class=\"plots\">\n{plots}</div>");
    }
    html += &figures(outcome);
    for row in &outcome.rows {
        html += &troubles(row);
    }
    if !outcome.notes.is_empty() {
        html += "<ul class=\"soft\">\n";
        for note in &outcome.notes {
            let _ = writeln!(html, "<li>{}</li>", escape(note));
        }
        html += "</ul>\n";
    }
    html += &raw(outcome);
    html
}

fn plots(outcome: &Outcome) -> String {
    let mut html = String::new();
    let mut add = |caption: &str, svg: &str| {
        let _ = writeln!(html, "<figure><figcaption>{}</figcaption>\n{svg}</figure>", escape(caption));
    };
    if let Some(svg) = bars(outcome, metric::CPU_PER_REQUEST) {
        add("CPU per request, µs: median, and from least to most of the rounds", &svg);
    }
    if let Some(svg) = bars(outcome, metric::ADDED_P50) {
        add("Added to the direct way, p50, µs", &svg);
    }
    if let Some(svg) = latency_plot(outcome) {
        add("Latency by percentile, µs (median of the rounds)", &svg);
    }
    for way in ["plain", "intercepted"] {
        if let Some(svg) = memory_plot(outcome, way) {
            add(&format!("Resident memory by idle connections, {way}, MiB"), &svg);
        }
    }
    if html.is_empty() {
        let first = metrics(outcome).into_iter().next().filter(|_| outcome.rows.len() > 1);
        if let Some((name, svg)) = first.and_then(|name| bars(outcome, &name).map(|svg| (name, svg))) {
            let unit = unit_of(outcome, &name).map_or("", Unit::as_str);
            let _ = writeln!(html, "<figure><figcaption>{}, {unit}</figcaption>\n{svg}</figure>", escape(&name));
        }
    }
    html
}

fn latency_plot(outcome: &Outcome) -> Option<String> {
    let lines = lines(outcome, latency);
    let values = lines.iter().flat_map(|line| &line.points).map(|(_, latency)| *latency);
    let most = lines.iter().flat_map(|line| &line.points).map(|(percentile, _)| *percentile).fold(0.0, f64::max);
    if lines.is_empty() || most <= 50.0 {
        return None;
    }
    let ticks = [50.0, 75.0, 90.0, 99.0, 99.9, 99.99].into_iter().filter(|tick| *tick <= most);
    let across = Axis {
        title: "percentile of requests (each step up is a tenth of what is left)".to_owned(),
        ticks: ticks.map(|tick| (tick, format!("{tick}"))).collect(),
        range: (50.0, most),
        place: |percentile| -(1.0 - percentile / 100.0).max(1e-9).log10(),
    };
    Some(plot("latency by percentile", &across, &logarithmic("µs", values), &lines))
}

fn memory_plot(outcome: &Outcome, way: &str) -> Option<String> {
    let lines = lines(outcome, |row| memory(row, way));
    if lines.is_empty() {
        return None;
    }
    let points = || lines.iter().flat_map(|line| &line.points);
    let across = linear("idle connections", points().map(|(connections, _)| *connections));
    Some(plot("resident memory by idle connections", &across, &linear("MiB", points().map(|(_, memory)| *memory)), &lines))
}

fn lines(outcome: &Outcome, points: impl Fn(&Row) -> Vec<(f64, f64)>) -> Vec<Line> {
    let lines = outcome.rows.iter().map(|row| Line { contender: row.contender.clone(), points: points(row) });
    lines.filter(|line| line.points.len() > 1).collect()
}

/// Medians with their range, one row for each contender.
fn figures(outcome: &Outcome) -> String {
    let names = metrics(outcome);
    let mut html = "<div class=\"scroll\"><table>\n<thead><tr><th></th>".to_owned();
    for name in &names {
        let unit = unit_of(outcome, name).map_or("", Unit::as_str);
        let _ = write!(html, "<th>{}{}{unit}</th>", escape(name), if unit.is_empty() { "" } else { ", " });
    }
    html += "</tr></thead>\n<tbody>\n";
    for row in &outcome.rows {
        let ours = if class(&row.contender) == "c-keygress" { " class=\"keygress\"" } else { "" };
        let _ = write!(html, "<tr{ours}><td>{}</td>", escape(&row.contender));
        for name in &names {
            let _ = write!(html, "<td>{}</td>", row.spread(name).map_or_else(String::new, cell));
        }
        html += "</tr>\n";
    }
    html += "</tbody>\n</table></div>\n";
    html
}

fn cell(spread: Spread) -> String {
    let range = if spread.max > spread.min {
        format!(" <span class=\"range\">{}–{}</span>", number(spread.min), number(spread.max))
    } else {
        String::new()
    };
    format!("{}{range}", number(spread.median))
}

/// Wrong answers and runs that do not count; nothing where all went well.
fn troubles(row: &Row) -> String {
    let mut html = String::new();
    for run in counting(row) {
        for (kind, count) in &run.errors {
            let _ = writeln!(
                html,
                "<p class=\"wrong\">{}: {count} wrong beside {} right: {}</p>",
                escape(&row.contender),
                run.right,
                escape(kind)
            );
        }
    }
    let spoiled = row.runs.iter().filter(|run| run.spoiled.is_some()).count();
    if spoiled > 0 {
        let _ = writeln!(
            html,
            "<p class=\"soft\">{}: {spoiled} of {} runs do not count, see below.</p>",
            escape(&row.contender),
            row.runs.len()
        );
    }
    html
}

/// Every run, as it was seen.
fn raw(outcome: &Outcome) -> String {
    let names = metrics(outcome);
    let mut html = "<details><summary>Every run</summary>\n<div class=\"scroll\"><table>\n<thead><tr><th></th><th>run</th><th>right</th><th>wrong</th>".to_owned();
    for name in &names {
        let _ = write!(html, "<th>{}</th>", escape(name));
    }
    html += "<th class=\"text\">does not count because</th></tr></thead>\n<tbody>\n";
    for row in &outcome.rows {
        for (at, run) in row.runs.iter().enumerate() {
            html += &raw_row(row, at + 1, run, &names);
        }
    }
    html += "</tbody>\n</table></div></details>\n";
    html
}

fn raw_row(row: &Row, number_of_run: usize, run: &Run, names: &[String]) -> String {
    let wrong: u64 = run.errors.values().sum();
    let mut html = format!("<tr><td>{}</td><td>{number_of_run}</td><td>{}</td><td>{wrong}</td>", escape(&row.contender), run.right);
    for name in names {
        let _ = write!(html, "<td>{}</td>", run.value(name).map_or_else(String::new, |value| format!("{value:.3}")));
    }
    let _ = writeln!(html, "<td class=\"text\">{}</td></tr>", escape(run.spoiled.as_deref().unwrap_or_default()));
    html
}
