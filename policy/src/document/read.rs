use std::cell::OnceCell;
use std::ops::Range;

use serde_saphyr::options::MergeKeyPolicy;
use serde_saphyr::{Error, Options};

use super::Document;
use super::complaint::{Found, found};
use super::narrow::Narrow;
use super::outline::{Outline, Piece};
use crate::compile::Source;
use crate::problem::{Complaint, Place, Problem};

/// Largest file of a policy, in bytes.
pub(super) const FILE_BYTES_MAX: usize = 8 << 20;

/// Deepest nesting of a policy.
pub(super) const DEPTH_MAX: usize = 24;

/// Most structural problems that are reported for one file.
const PROBLEMS_MAX: usize = 50;

/// What could be read of a file.
pub(crate) struct Reading<S> {
    /// The document without the pieces that are wrong; `None` where not even the rest can be read.
    pub(crate) document: Option<Document<S>>,
    /// What is wrong.
    pub(crate) problems: Vec<Problem>,
    /// Section and name of the entries that were left out because of that.
    pub(crate) lost: Vec<(String, String)>,
}

/// Reads a file. The library stops at the first problem, so that piece is blanked out, byte for byte, and the rest is read again.
pub(crate) fn read<S: Source>(file: usize, text: &str) -> Reading<S> {
    let text = text.to_owned();
    let mut reader = Reader { file, outline: OnceCell::new(), text, problems: Vec::new(), lost: Vec::new(), blanked: Vec::new() };
    let document = reader.document();
    Reading { document, problems: reader.problems, lost: reader.lost }
}

struct Reader {
    file: usize,
    /// Of the text as it was; made at the first problem, as it takes as long as reading does.
    outline: OnceCell<Outline>,
    text: String,
    problems: Vec<Problem>,
    lost: Vec<(String, String)>,
    blanked: Vec<Piece>,
}

impl Reader {
    fn document<S: Source>(&mut self) -> Option<Document<S>> {
        if self.text.len() > FILE_BYTES_MAX {
            self.report("too_large", 0..0, Complaint::new("the file is larger than 8 MiB", "split it into several files"));
            return None;
        }
        // Without its mark there is no tag to look for.
        if self.text.contains('!')
            && let Some(tag) = self.outline().tag.clone()
        {
            self.report("tag", tag, Complaint::new("the value has a tag", "a policy uses no tags: remove it"));
            return None;
        }
        while self.problems.len() < PROBLEMS_MAX {
            let error = match serde_saphyr::from_str_with_options(&self.text, options()) {
                Ok(Narrow(document)) => return Some(document),
                Err(error) => error,
            };
            if !self.drop_piece(&error) {
                break;
            }
        }
        None
    }

    fn outline(&self) -> &Outline {
        self.outline.get_or_init(|| Outline::of(&self.text))
    }

    /// Reports an error and blanks out the piece that it lies in. Whether another attempt makes sense.
    fn drop_piece(&mut self, error: &Error) -> bool {
        let Found { code, complaint, bytes } = found(error, &self.text);
        let piece = match code {
            "missing_key" => self.outline().map_at(bytes.start),
            _ => self.outline().piece_at(bytes.start),
        };
        let Some(piece) = piece.cloned() else {
            if !(code == "yaml" && self.outline().well_formed) {
                self.report(code, bytes, complaint);
            }
            return false;
        };
        // An entry without the key that was blanked out is wrong for that reason alone.
        let consequence =
            self.blanked.iter().any(|blanked| piece.bytes.start <= blanked.bytes.start && blanked.bytes.end <= piece.bytes.end);
        let broken_by_us = code == "yaml" && self.outline().well_formed;
        if !consequence && !broken_by_us {
            let place = match code {
                "missing_key" => piece.key_bytes.clone(),
                // The library points at the key where the value is read as either of two things.
                "wrong_type" | "unknown_word" if bytes == piece.key_bytes => piece.value_bytes.clone(),
                _ if bytes.is_empty() => piece.key_bytes.clone(),
                _ => bytes,
            };
            self.report(code, place, complaint);
            if code == "duplicate_key" {
                self.point_at_twin(&piece);
            }
        }
        code != "yaml" && self.blank(piece)
    }

    fn point_at_twin(&mut self, piece: &Piece) {
        let first = self.outline().earlier_twin(piece).map(|twin| self.place(twin.key_bytes.clone()));
        if let (Some(first), Some(problem)) = (first, self.problems.last_mut()) {
            problem.related = Some((first, "first here".to_owned()));
        }
    }

    /// Blanks out a piece, or the smallest one around it that can be and has not been.
    fn blank(&mut self, piece: Piece) -> bool {
        let candidate = (1..=piece.depth)
            .rev()
            .filter_map(|depth| if depth == piece.depth { Some(&piece) } else { self.outline().holder(&piece, depth) })
            .find(|candidate| candidate.removable && !self.blanked.contains(candidate))
            .cloned();
        let Some(candidate) = candidate else { return false };
        let bytes = self.with_marks(&candidate);
        let Some(text) = self.text.get(bytes.clone()) else { return false };
        let blank: String = text.bytes().map(|byte| if byte == b'\n' { '\n' } else { ' ' }).collect();
        self.text.replace_range(bytes, &blank);
        self.note_loss(&candidate);
        self.blanked.push(candidate);
        true
    }

    /// The bytes of a piece with what marks it: the dash before an item of a list, the colon behind a key without a value.
    fn with_marks(&self, piece: &Piece) -> Range<usize> {
        let before = self.text.get(..piece.bytes.start).unwrap_or_default().trim_end();
        let dash = before.len().checked_sub(1).filter(|_| piece.key_bytes.is_empty() && before.ends_with('-'));
        let after = self.text.get(piece.key_bytes.end..).unwrap_or_default();
        let colon = after.find(':').filter(|_| piece.value_bytes.is_empty() && after.trim_start_matches([' ', '"', '\'']).starts_with(':'));
        let colon_end = colon.map(|colon| piece.key_bytes.end.saturating_add(colon).saturating_add(1));
        dash.unwrap_or(piece.bytes.start)..piece.bytes.end.max(colon_end.unwrap_or_default())
    }

    fn note_loss(&mut self, piece: &Piece) {
        let lost = self
            .outline()
            .pieces
            .iter()
            .filter(|entry| entry.depth == 2 && piece.bytes.start <= entry.bytes.start && entry.bytes.end <= piece.bytes.end);
        let lost: Vec<_> = lost.filter_map(|entry| Some((self.outline().holder(entry, 1)?.key.clone(), entry.key.clone()))).collect();
        self.lost.extend(lost);
    }

    fn report(&mut self, code: &'static str, bytes: Range<usize>, complaint: Complaint) {
        let place = self.place(bytes);
        self.problems.push(Problem::error(code, place, complaint));
    }

    fn place(&self, bytes: Range<usize>) -> Place {
        Place { file: self.file, start: bytes.start, end: bytes.end }
    }
}

fn options() -> Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! { max_depth: DEPTH_MAX, flow_nesting_limit: DEPTH_MAX, max_documents: 1, max_nodes: 2_000_000, max_events: 4_000_000, max_aliases: 10_000 },
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: 100_000, max_replay_stack_depth: 4 },
        merge_keys: MergeKeyPolicy::Error,
        strict_booleans: true,
        reject_unsupported_tags: true,
        with_snippet: false,
    }
}
