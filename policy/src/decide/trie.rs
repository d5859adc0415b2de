use crate::destination::{MethodSet, RequestPattern, Segment, compare_segment};

/// The caller of an entry that is for everybody: after every workload.
pub(super) const ANY_CALLER: u32 = u32::MAX;

/// One `allow` or `except` entry of one rule for one caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// Index of a workload, or [`ANY_CALLER`].
    pub(super) caller: u32,
    pub(super) methods: MethodSet,
    pub(super) rule: u32,
    pub(super) credential: Option<u32>,
    pub(super) says: Says,
    /// Whether its rule lets an encoded slash stay inside its segment.
    pub(super) opaque_slash: bool,
    /// Whether its rule lets bodies of answers pass without a search.
    pub(super) unsearched: bool,
}

/// What an entry says of the requests that it matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Says {
    /// They are allowed.
    Allow,
    /// They are allowed, and named in full: their answer may be a credential.
    AllowMinting,
    /// They are refused.
    Except,
    /// Their answer is a credential: what allows them must name them in full.
    Minting,
}

/// The path patterns of one destination, segment by segment.
#[derive(Debug, Default)]
pub(super) struct Trie {
    root: Node,
}

#[derive(Debug, Default)]
struct Node {
    /// Decoded literals, ascending.
    literals: Vec<(Box<[u8]>, Node)>,
    /// `{name}`.
    one: Option<Box<Node>>,
    /// Patterns that end here.
    end: Vec<Entry>,
    /// Patterns that end here in `**`.
    rest: Vec<Entry>,
}

impl Trie {
    /// Adds an entry under a pattern. Entries come by rule, ascending.
    pub(super) fn insert(&mut self, pattern: &RequestPattern, entry: Entry) {
        let mut node = &mut self.root;
        for segment in &pattern.path.segments {
            node = node.child(segment);
        }
        let entries = if pattern.path.rest { &mut node.rest } else { &mut node.end };
        // Of entries that differ by their rule alone the first by name decides; the others would only cost time.
        let same = |known: &&Entry| {
            (known.caller, known.methods, known.credential, known.says, known.opaque_slash, known.unsearched)
                == (entry.caller, entry.methods, entry.credential, entry.says, entry.opaque_slash, entry.unsearched)
        };
        let start = entries.partition_point(|known| known.caller < entry.caller);
        let end = entries.partition_point(|known| known.caller <= entry.caller);
        if !entries.iter().take(end).skip(start).any(|known| same(&known)) {
            entries.insert(end, entry);
        }
    }

    /// Visits the entries of every pattern that matches a path.
    pub(super) fn matching<'t>(&'t self, path: &str, visit: &mut impl FnMut(&'t [Entry])) {
        let rest = path.strip_prefix('/').unwrap_or(path);
        self.root.matching((!rest.is_empty()).then_some(rest), visit);
    }
}

impl Node {
    fn child(&mut self, segment: &Segment) -> &mut Self {
        let literal = match segment {
            Segment::One => return self.one.get_or_insert_default(),
            Segment::Literal(literal) => literal,
        };
        let place = self.literals.partition_point(|(known, _)| known < literal);
        if self.literals.get(place).is_none_or(|(known, _)| known != literal) {
            self.literals.insert(place, (literal.clone(), Self::default()));
        }
        #[expect(clippy::indexing_slicing, reason = "there is a node at this place: it was found or just put there")]
        &mut self.literals[place].1
    }

    /// Goes no deeper than the longest pattern. `rest` is what follows of the path; `None` at its end.
    fn matching<'t>(&'t self, rest: Option<&str>, visit: &mut impl FnMut(&'t [Entry])) {
        visit(&self.rest);
        let Some(rest) = rest else {
            visit(&self.end);
            return;
        };
        let (segment, rest) = rest.split_once('/').map_or((rest, None), |(segment, rest)| (segment, Some(rest)));
        if let Ok(place) = self.literals.binary_search_by(|(literal, _)| compare_segment(literal, segment))
            && let Some((_, node)) = self.literals.get(place)
        {
            node.matching(rest, visit);
        }
        if let Some(node) = self.one.as_deref().filter(|_| !segment.is_empty()) {
            node.matching(rest, visit);
        }
    }
}
