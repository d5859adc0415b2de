//! A problem in the operator's file: where it is, what is wrong, what to do.

use std::ops::Range;

use annotate_snippets::{Annotation, AnnotationKind, Group, Level, Renderer, Snippet};

/// One file of a policy.
#[derive(Clone, Debug)]
pub struct SourceFile {
    /// Its name as the operator gave it.
    pub name: String,
    /// Its text.
    pub text: String,
}

/// How bad a [`Problem`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// The policy does not load.
    Error,
    /// It loads; somebody should look.
    Warning,
}

/// A place in a file of the policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Index into the files.
    pub file: usize,
    /// First byte.
    pub start: usize,
    /// Byte after the last.
    pub end: usize,
}

/// One problem.
#[derive(Clone, Debug)]
pub struct Problem {
    /// Error or warning.
    pub severity: Severity,
    /// A stable code, such as `unknown_credential`.
    pub code: &'static str,
    /// What is wrong: lower case, input in backticks, no full stop.
    pub message: String,
    /// Where.
    pub place: Option<Place>,
    /// What to do.
    pub help: Option<String>,
    /// Another place that takes part, such as the first definition of a name, and what is there.
    pub related: Option<(Place, String)>,
}

/// Whether [`render`] colours its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colour {
    /// ANSI colours.
    Ansi,
    /// Plain text.
    Plain,
}

/// What is wrong with a piece of a policy, and what to do: it is given its place by whoever knows that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Complaint {
    /// What is wrong.
    pub(crate) message: String,
    /// What to do.
    pub(crate) help: String,
}

impl Complaint {
    pub(crate) fn new(message: impl Into<String>, help: impl Into<String>) -> Self {
        Self { message: message.into(), help: help.into() }
    }
}

/// Most choices that are listed in a help.
const CHOICES_MAX: usize = 24;

/// Help that names the choice that was probably meant, or all of them.
pub(crate) fn one_of<T: AsRef<str>>(are: &str, written: &str, choices: &[T]) -> String {
    if let Some(near) = nearest(written, choices.iter().map(AsRef::as_ref)) {
        return format!("did you mean `{near}`?");
    }
    let list: Vec<String> = choices.iter().take(CHOICES_MAX).map(|choice| format!("`{}`", choice.as_ref())).collect();
    let more = if choices.len() > CHOICES_MAX { ", …" } else { "" };
    format!("{are} {}{more}", list.join(", "))
}

/// The candidate that differs least, where one is close enough to be a slip of the finger.
pub(crate) fn nearest<'c>(written: &str, candidates: impl Iterator<Item = &'c str>) -> Option<&'c str> {
    let tolerance = (written.chars().count() / 3).clamp(1, 3);
    candidates
        .map(|candidate| (strsim::damerau_levenshtein(written, candidate), candidate))
        .filter(|(edits, _)| *edits <= tolerance)
        .min()
        .map(|(_, candidate)| candidate)
}

impl Problem {
    /// An error.
    pub(crate) fn error(code: &'static str, place: Place, complaint: Complaint) -> Self {
        Self { severity: Severity::Error, code, message: complaint.message, place: Some(place), help: Some(complaint.help), related: None }
    }

    /// A warning.
    pub(crate) fn warning(code: &'static str, place: Place, complaint: Complaint) -> Self {
        Self { severity: Severity::Warning, ..Self::error(code, place, complaint) }
    }

    /// With a second place, and what is there.
    #[must_use]
    pub(crate) fn related(mut self, place: Place, label: impl Into<String>) -> Self {
        self.related = Some((place, label.into()));
        self
    }
}

/// Renders problems for people: message, file, line, column, snippet, help.
#[must_use]
pub fn render(problems: &[Problem], files: &[SourceFile], colour: Colour) -> String {
    let renderer = match colour {
        Colour::Ansi => Renderer::styled(),
        Colour::Plain => Renderer::plain(),
    };
    problems.iter().map(|problem| format!("{}\n", renderer.render(&[group(problem, files)]))).collect::<Vec<_>>().join("\n")
}

fn group<'a>(problem: &'a Problem, files: &'a [SourceFile]) -> Group<'a> {
    let level = match problem.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let mut group = Group::with_title(level.primary_title(&problem.message));
    if let Some(place) = problem.place {
        let mut snippet = snippet(files, place).map(|(snippet, span)| snippet.annotation(AnnotationKind::Primary.span(span)));
        if let Some((other, label)) = &problem.related {
            if other.file == place.file {
                snippet = snippet.map(|snippet| snippet.annotation(AnnotationKind::Context.span(span_in(files, *other)).label(label)));
            } else if let Some((related, span)) = self::snippet(files, *other) {
                group = group.elements(snippet.take());
                snippet = Some(related.annotation(AnnotationKind::Context.span(span).label(label)));
            }
        }
        group = group.elements(snippet);
    }
    group.elements(problem.help.as_deref().map(|help| Level::HELP.message(help)))
}

fn snippet(files: &[SourceFile], place: Place) -> Option<(Snippet<'_, Annotation<'_>>, Range<usize>)> {
    let file = files.get(place.file)?;
    Some((Snippet::source(&file.text).path(&file.name), span_in(files, place)))
}

/// The place as a range that lies within the text and between its characters.
fn span_in(files: &[SourceFile], place: Place) -> Range<usize> {
    let text = files.get(place.file).map_or("", |file| &file.text);
    let start = text.floor_char_boundary(place.start);
    let end = text.ceil_char_boundary(place.end.max(start)).min(text.len());
    start..end.max(start)
}

/// Line and column (both from 1, columns in characters) of a byte offset.
#[must_use]
pub fn line_column(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..text.floor_char_boundary(offset)).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline.saturating_add(1));
    let column = before.get(line_start..).unwrap_or_default().chars().count();
    (before.matches('\n').count().saturating_add(1), column.saturating_add(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_counts_characters() {
        assert_eq!(line_column("a: é\nbé: x", 0), (1, 1));
        assert_eq!(line_column("a: é\nbé: x", 9), (2, 3));
        assert_eq!(line_column("a", 99), (1, 2));
    }

    #[test]
    fn a_place_outside_the_text_is_still_rendered() {
        let files = [SourceFile { name: "p.yaml".into(), text: "é".into() }];
        for (start, end) in [(0, 1), (1, 1), (5, 9), (2, 0), (2, 2)] {
            let problem = Problem::error("x", Place { file: 0, start, end }, Complaint::new("m", "h"));
            assert!(render(&[problem], &files, Colour::Plain).contains("p.yaml:1"));
        }
    }
}
