//! Lines over two axes.

use std::fmt::Write;

use super::markup::{class, escape};

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 300.0;
const LEFT: f64 = 62.0;
const RIGHT: f64 = 92.0;
const TOP: f64 = 14.0;
const BOTTOM: f64 = 44.0;

/// How far apart names at the ends of lines stand.
const NAMES_APART: f64 = 14.0;

/// One line.
pub(super) struct Line {
    /// Whose.
    pub(super) contender: String,
    /// Its points, from left to right.
    pub(super) points: Vec<(f64, f64)>,
}

/// One axis.
pub(super) struct Axis {
    /// What it counts.
    pub(super) title: String,
    /// Where lines stand, with their words.
    pub(super) ticks: Vec<(f64, String)>,
    /// From where to where.
    pub(super) range: (f64, f64),
    /// Where a value stands: itself, its logarithm, …
    pub(super) place: fn(f64) -> f64,
}

impl Axis {
    /// From 0 to 1 along it.
    fn share(&self, value: f64) -> f64 {
        let (from, to) = ((self.place)(self.range.0), (self.place)(self.range.1));
        if to > from { (((self.place)(value) - from) / (to - from)).clamp(0.0, 1.0) } else { 0.0 }
    }
}

/// Powers of ten and their halves and fifths from the least to the most of these values, on a logarithmic scale.
pub(super) fn logarithmic(title: &str, values: impl Iterator<Item = f64> + Clone) -> Axis {
    let least = values.clone().fold(f64::INFINITY, f64::min).max(1e-3);
    let most = values.fold(least, f64::max);
    let steps = || (-3..9).flat_map(|power| [1.0, 2.0, 5.0].map(|step| step * 10_f64.powi(power)));
    let from = steps().filter(|step| *step <= least).last().unwrap_or(least);
    let to = steps().find(|step| *step >= most).unwrap_or(most);
    let ticks = steps().filter(|step| (from..=to).contains(step)).map(|step| (step, plain(step))).collect();
    Axis { title: title.to_owned(), ticks, range: (from, to), place: f64::ln }
}

/// From 0 to the most of these values, on a linear scale with about four lines.
pub(super) fn linear(title: &str, values: impl Iterator<Item = f64>) -> Axis {
    let most = values.fold(0.0, f64::max).max(1e-9);
    let power = 10_f64.powf((most / 4.0).log10().floor());
    let step = [1.0, 2.0, 2.5, 5.0, 10.0].map(|factor| factor * power).into_iter().find(|step| most / step <= 4.5).unwrap_or(most);
    let count = (most / step).ceil();
    let ticks = std::iter::successors(Some(0.0), |tick| Some(tick + 1.0)).take_while(|tick| *tick <= count);
    let ticks = ticks.map(|tick| (tick * step, plain(tick * step))).collect();
    Axis { title: title.to_owned(), ticks, range: (0.0, count * step), place: |value| value }
}

fn plain(value: f64) -> String {
    let value = (value * 1000.0).round() / 1000.0;
    if value >= 1000.0 && value % 1000.0 == 0.0 { format!("{}k", value / 1000.0) } else { value.to_string() }
}

/// A plot.
pub(super) fn plot(label: &str, across: &Axis, up: &Axis, lines: &[Line]) -> String {
    let x = |value: f64| LEFT + across.share(value) * (WIDTH - LEFT - RIGHT);
    let y = |value: f64| HEIGHT - BOTTOM - up.share(value) * (HEIGHT - TOP - BOTTOM);
    let mut svg = format!("<svg class=\"plot\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{}\">\n", escape(label));
    for (value, word) in &up.ticks {
        let at = y(*value);
        let _ = writeln!(
            svg,
            "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{:.1}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>\
             <text class=\"tick\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{word}</text>",
            WIDTH - RIGHT,
            LEFT - 7.0,
            at + 4.0
        );
    }
    for (value, word) in &across.ticks {
        let at = x(*value);
        let _ = writeln!(
            svg,
            "<line class=\"grid\" x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"{TOP}\" y2=\"{:.1}\"/>\
             <text class=\"tick\" x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{word}</text>",
            HEIGHT - BOTTOM,
            HEIGHT - BOTTOM + 17.0
        );
    }
    let _ = writeln!(
        svg,
        "<text class=\"tick\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>\
         <text class=\"tick\" transform=\"translate(13 {:.1}) rotate(-90)\" text-anchor=\"middle\">{}</text>",
        LEFT + (WIDTH - LEFT - RIGHT) / 2.0,
        HEIGHT - 8.0,
        escape(&across.title),
        TOP + (HEIGHT - TOP - BOTTOM) / 2.0,
        escape(&up.title)
    );
    // keygress is drawn last: on top.
    let mut order: Vec<&Line> = lines.iter().collect();
    order.sort_by_key(|line| line.contender.starts_with("keygress"));
    for line in order {
        let points: Vec<String> = line.points.iter().map(|(across, up)| format!("{:.1},{:.1}", x(*across), y(*up))).collect();
        let _ = writeln!(
            svg,
            "<polyline class=\"line {}\" points=\"{}\"><title>{}</title></polyline>",
            class(&line.contender),
            points.join(" "),
            escape(&line.contender)
        );
    }
    svg += &names(lines, &y);
    svg += "</svg>\n";
    svg
}

/// The name of each line at its end, moved apart where they would touch.
fn names(lines: &[Line], y: &impl Fn(f64) -> f64) -> String {
    let mut ends: Vec<(f64, &str)> = lines.iter().filter_map(|line| Some((y(line.points.last()?.1), line.contender.as_str()))).collect();
    ends.sort_by(|one, other| one.0.total_cmp(&other.0));
    let mut lowest = TOP;
    for (at, _) in &mut ends {
        *at = at.max(lowest);
        lowest = *at + NAMES_APART;
    }
    let over = (lowest - NAMES_APART - (HEIGHT - BOTTOM)).max(0.0);
    let names = ends.into_iter().map(|(at, name)| {
        format!(
            "<text class=\"name {}\" x=\"{:.1}\" y=\"{:.1}\">{}</text>\n",
            class(name),
            WIDTH - RIGHT + 6.0,
            at - over + 4.0,
            escape(name)
        )
    });
    names.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(axis: &Axis) -> Vec<&str> {
        axis.ticks.iter().map(|(_, word)| word.as_str()).collect()
    }

    #[test]
    fn axes_have_round_ticks_around_all_values() {
        let axis = logarithmic("µs", [130.0, 4200.0].into_iter());
        assert_eq!(words(&axis), ["100", "200", "500", "1k", "2k", "5k"]);
        assert_eq!(words(&linear("MiB", [3.0, 83.0].into_iter())), ["0", "20", "40", "60", "80", "100"]);
        assert_eq!(words(&linear("MiB", std::iter::empty())).first(), Some(&"0"));
    }
}
