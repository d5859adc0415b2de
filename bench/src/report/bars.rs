//! Bars with whiskers: one contender each, from least to most of its runs, the bar at the median.

use std::fmt::Write;

use super::figures::number;
use super::markup::{class, escape};
use crate::results::{Outcome, Spread};

const WIDTH: f64 = 640.0;
const LABELS: f64 = 92.0;
const FIGURES: f64 = 150.0;
const BAR: f64 = 16.0;
const STEP: f64 = 28.0;
const TOP: f64 = 22.0;

/// A bar that is longer than this many times the middle one is cut off, and says so: the others stay readable.
const CUT: f64 = 3.0;

/// A plot of one metric; `None` where no contender has it.
pub(super) fn bars(outcome: &Outcome, metric: &str) -> Option<String> {
    let rows: Vec<(&str, Spread)> = outcome.rows.iter().filter_map(|row| Some((row.contender.as_str(), row.spread(metric)?))).collect();
    let middle = Spread::of(rows.iter().map(|(_, spread)| spread.median))?.median;
    let most = rows.iter().map(|(_, spread)| spread.max).fold(0.0, f64::max);
    let end = if most > middle * CUT { middle * CUT } else { most };
    if end <= 0.0 {
        return None;
    }
    let scale = |value: f64| LABELS + value.clamp(0.0, end) / end * (WIDTH - LABELS - FIGURES);
    let height = TOP + STEP * rows.len() as f64 + 4.0;
    let mut svg =
        format!("<svg class=\"plot\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"{} by contender\">\n", escape(metric));
    let mut texts = String::new();
    for (at, (contender, spread)) in rows.iter().enumerate() {
        let top = TOP + STEP * at as f64;
        let (drawn, text) = bar(contender, *spread, top, &scale, end);
        svg += &drawn;
        texts += &text;
    }
    if let Some((limit, source)) = strictest(outcome, metric) {
        let x = scale(limit);
        let words = format!("bar: {}{}", number(limit), source.map_or_else(String::new, |source| format!(", {}", escape(&source))));
        // In the half where there is room for it.
        let (anchor, text) = if x > WIDTH / 2.0 { ("end", x - 5.0) } else { ("start", x + 5.0) };
        let _ = writeln!(
            svg,
            "<line class=\"bar-limit\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"4\" y2=\"{:.1}\"/>\
             <text class=\"note\" x=\"{text:.1}\" y=\"13\" text-anchor=\"{anchor}\">{words}</text>",
            height - 2.0,
        );
    }
    // Over the line, for figures are what a reader looks for.
    svg += &texts;
    svg += "</svg>\n";
    Some(svg)
}

fn bar(contender: &str, spread: Spread, top: f64, scale: &impl Fn(f64) -> f64, end: f64) -> (String, String) {
    let (left, middle) = (scale(0.0), top + BAR / 2.0);
    let (low, median, high) = (scale(spread.min), scale(spread.median), scale(spread.max));
    let is_cut = spread.median > end;
    let mut svg = format!(
        "<g><title>{} {}, {} to {}</title>\
         <text class=\"name {}\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>\
         <rect class=\"fill {}\" x=\"{left:.1}\" y=\"{top:.1}\" width=\"{:.1}\" height=\"{BAR}\" rx=\"2\"/>",
        escape(contender),
        number(spread.median),
        number(spread.min),
        number(spread.max),
        class(contender),
        LABELS - 8.0,
        middle + 4.5,
        escape(contender),
        class(contender),
        (median - left).max(1.0),
    );
    if is_cut {
        let x = median - 26.0;
        let _ = write!(svg, "<path class=\"cut\" d=\"M{x:.1} {:.1} l6 -{BAR} m5 0 l-6 {BAR}\"/>", top + BAR);
    } else if high > low {
        let _ = write!(
            svg,
            "<path class=\"whisker\" d=\"M{low:.1} {middle:.1} H{high:.1} M{low:.1} {:.1} v8 M{high:.1} {:.1} v8\"/>",
            middle - 4.0,
            middle - 4.0
        );
    }
    svg += "</g>\n";
    let range = if spread.max > spread.min { format!(" ({}–{})", number(spread.min), number(spread.max)) } else { String::new() };
    let text = format!(
        "<text class=\"figure\" x=\"{:.1}\" y=\"{:.1}\"><tspan class=\"median\">{}</tspan>{range}</text>\n",
        median.max(if is_cut { 0.0 } else { high }) + 7.0,
        middle + 4.5,
        number(spread.median),
    );
    (svg, text)
}

/// The bar that asks most of keygress, with where it comes from.
fn strictest(outcome: &Outcome, metric: &str) -> Option<(f64, Option<String>)> {
    let held = outcome.bars.iter().filter(|held| held.bar.metric == metric);
    let limits = held.filter_map(|held| Some((held.limit?, super::figures::limit(&held.bar.limit))));
    let most = limits.filter(|(_, (sign, _))| *sign == "≤").min_by(|one, other| one.0.total_cmp(&other.0));
    most.map(|(limit, (_, source))| (limit, source))
}
