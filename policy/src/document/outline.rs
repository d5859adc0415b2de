use std::ops::Range;

use serde_saphyr::granit_parser::{Event, Parser, Span, StructureStyle};

/// How deep a piece may lie: sections, entries, keys of an entry.
const PIECE_DEPTH_MAX: usize = 3;

/// A part of a file that can be read without: a section, an entry of a section, a key of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    /// 1 for a section, 2 for an entry, 3 for a key of an entry.
    pub(super) depth: usize,
    /// Its key; empty for an item of a list.
    pub(super) key: String,
    /// The bytes of its key; of its first byte for an item of a list.
    pub(super) key_bytes: Range<usize>,
    /// The bytes of its value.
    pub(super) value_bytes: Range<usize>,
    /// The bytes of key and value.
    pub(super) bytes: Range<usize>,
    /// Whether it can be blanked out: what holds it is written as a block.
    pub(super) removable: bool,
}

/// Where the pieces of a file stand.
#[derive(Debug, Default)]
pub(super) struct Outline {
    /// Every piece, those of an entry before the entry.
    pub(super) pieces: Vec<Piece>,
    /// The first tag, where there is one.
    pub(super) tag: Option<Range<usize>>,
    /// Whether it is YAML to its end.
    pub(super) well_formed: bool,
    open: Vec<Open>,
    last_end: usize,
}

/// A collection that has not ended.
#[derive(Debug)]
struct Open {
    kind: Kind,
    style: StructureStyle,
    start: usize,
}

#[derive(Debug)]
enum Kind {
    List,
    /// The key whose value comes next.
    Map(Option<(String, Range<usize>)>),
}

impl Outline {
    /// Outlines a file as far as it is well-formed.
    pub(super) fn of(text: &str) -> Self {
        let mut outline = Self::default();
        for event in Parser::new_from_str(text) {
            let Ok((event, span)) = event else { return outline };
            if outline.open.len() > super::read::DEPTH_MAX {
                return outline;
            }
            outline.take(&event, span);
        }
        outline.well_formed = true;
        outline
    }

    fn take(&mut self, event: &Event<'_>, span: Span) {
        let bytes = bytes(span);
        if event.tag().is_some() && self.tag.is_none() {
            self.tag = Some(bytes.clone());
        }
        match event {
            Event::Scalar(value, ..) => self.leaf(value, bytes),
            Event::Alias(_) => self.leaf("", bytes),
            Event::SequenceStart(style, ..) => self.open.push(Open { kind: Kind::List, style: *style, start: bytes.start }),
            Event::MappingStart(style, ..) => self.open.push(Open { kind: Kind::Map(None), style: *style, start: bytes.start }),
            Event::SequenceEnd | Event::MappingEnd => self.close(bytes),
            _ => {}
        }
    }

    fn leaf(&mut self, value: &str, bytes: Range<usize>) {
        self.last_end = self.last_end.max(bytes.end);
        if let Some(Open { kind: Kind::Map(key @ None), .. }) = self.open.last_mut() {
            *key = Some((value.to_owned(), bytes));
        } else {
            self.finish(bytes);
        }
    }

    /// The end of a block collection has no bytes of its own: it ends with its last leaf.
    fn close(&mut self, bytes: Range<usize>) {
        let Some(closed) = self.open.pop() else { return };
        if closed.style == StructureStyle::Flow {
            self.last_end = self.last_end.max(bytes.end);
        }
        if let Some(Open { kind: Kind::Map(key @ None), .. }) = self.open.last_mut() {
            *key = Some((String::new(), closed.start..self.last_end));
        } else {
            self.finish(closed.start..self.last_end);
        }
    }

    /// A value is complete.
    fn finish(&mut self, value: Range<usize>) {
        let depth = self.open.len();
        let removable = self.open.iter().all(|open| open.style == StructureStyle::Block);
        let Some(parent) = self.open.last_mut() else { return };
        let (key, key_bytes) = match &mut parent.kind {
            Kind::List => (String::new(), value.start..value.start),
            Kind::Map(key) => key.take().unwrap_or_default(),
        };
        if depth <= PIECE_DEPTH_MAX {
            let bytes = key_bytes.start..value.end.max(key_bytes.end);
            let value_bytes = value;
            self.pieces.push(Piece { depth, key, key_bytes, value_bytes, bytes, removable });
        }
    }

    /// The smallest piece that holds a byte, or ends right before it.
    pub(super) fn piece_at(&self, byte: usize) -> Option<&Piece> {
        let holding = self.pieces.iter().filter(|piece| piece.bytes.start <= byte && byte <= piece.bytes.end);
        holding.max_by_key(|piece| (piece.depth, piece.bytes.start))
    }

    /// The smallest piece whose map has its last key at a byte: there the library notices that another key is missing.
    pub(super) fn map_at(&self, byte: usize) -> Option<&Piece> {
        let piece = self.piece_at(byte)?;
        let outer = piece.depth.checked_sub(1).filter(|depth| *depth > 0 && piece.key_bytes.start == byte && !piece.key_bytes.is_empty());
        outer.and_then(|depth| self.holder(piece, depth)).or(Some(piece))
    }

    /// The piece of that depth that holds a piece.
    pub(super) fn holder(&self, piece: &Piece, depth: usize) -> Option<&Piece> {
        self.pieces
            .iter()
            .find(|outer| outer.depth == depth && outer.bytes.start <= piece.bytes.start && piece.bytes.end <= outer.bytes.end)
    }

    /// The earlier piece of the same name beside a piece.
    pub(super) fn earlier_twin(&self, piece: &Piece) -> Option<&Piece> {
        let holder =
            |piece: &Piece| piece.depth.checked_sub(1).and_then(|depth| self.holder(piece, depth)).map(|holder| holder.bytes.clone());
        self.pieces.iter().find(|twin| {
            twin.depth == piece.depth && twin.key == piece.key && twin.bytes.start < piece.bytes.start && holder(twin) == holder(piece)
        })
    }
}

fn bytes(span: Span) -> Range<usize> {
    let start = span.start.byte_offset().unwrap_or_default();
    start..span.end.byte_offset().unwrap_or(start).max(start)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Vec<(usize, &str)> {
        Outline::of(text).pieces.iter().map(|piece| (piece.depth, &text[piece.bytes.clone()])).collect()
    }

    #[test]
    fn sections_entries_and_keys_are_found() {
        let text = "a:\n  b: { c: 1, d: [2] }  # x\n  e:\n    f: 'g'\n    h: [i,\n      j]\nk:\n  - l: m\n    n: o\n  - p\n";
        assert_eq!(
            shown(text),
            [
                (3, "c: 1"),
                (3, "d: [2]"),
                (2, "b: { c: 1, d: [2] }"),
                (3, "f: 'g'"),
                (3, "h: [i,\n      j]"),
                (2, "e:\n    f: 'g'\n    h: [i,\n      j]"),
                (1, "a:\n  b: { c: 1, d: [2] }  # x\n  e:\n    f: 'g'\n    h: [i,\n      j]"),
                (3, "l: m"),
                (3, "n: o"),
                (2, "l: m\n    n: o"),
                (2, "p"),
                (1, "k:\n  - l: m\n    n: o\n  - p"),
            ]
        );
    }

    #[test]
    fn broken_yaml_is_outlined_as_far_as_it_goes() {
        assert_eq!(shown("a:\n  b: 1\n  c: [\n"), [(2, "b: 1")]);
    }
}
