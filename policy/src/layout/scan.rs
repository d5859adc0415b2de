/// What is open at the end of a line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Open {
    quote: Option<char>,
    brackets: usize,
}

impl Open {
    pub(super) fn is_any(self) -> bool {
        self.quote.is_some() || self.brackets > 0
    }
}

/// What was seen in a line.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Seen {
    /// Where its comment begins.
    pub(super) comment: Option<usize>,
    /// Whether a block of text begins under it, and says how deep it stands.
    pub(super) block: Option<bool>,
}

impl Seen {
    /// Goes over a line, from what was open before it to what is open after it.
    pub(super) fn of(line: &str, open: &mut Open) -> Self {
        let mut seen = Self::default();
        let mut chars = line.char_indices().peekable();
        let mut before = ' ';
        while let Some((at, c)) = chars.next() {
            match (open.quote, c) {
                (Some('"'), '\\') => {
                    chars.next();
                }
                // Two of them are one in the text.
                (Some('\''), '\'') if chars.peek().is_some_and(|(_, next)| *next == '\'') => {
                    chars.next();
                }
                (Some(quote), c) if c == quote => open.quote = None,
                (Some(_), _) => {}
                (None, '#') if before.is_whitespace() => {
                    seen.comment = Some(at);
                    break;
                }
                // Elsewhere in a plain text they are letters like others.
                (None, '"' | '\'') if before.is_whitespace() || "[{,:".contains(before) => open.quote = Some(c),
                (None, '[' | '{') if open.brackets > 0 || before.is_whitespace() => open.brackets += 1,
                (None, ']' | '}') => open.brackets = open.brackets.saturating_sub(1),
                (None, _) => {}
            }
            before = c;
        }
        if !open.is_any() {
            let bare = line.get(..seen.comment.unwrap_or(line.len())).unwrap_or_default().trim_end();
            seen.block = header(bare);
        }
        seen
    }
}

/// Whether a line ends in `|` or `>`, with or without what may follow that.
fn header(bare: &str) -> Option<bool> {
    let last = bare.rsplit([' ', '\t']).next()?;
    let marks = last.strip_prefix(['|', '>'])?;
    let is_value = last.len() == bare.len() || bare.strip_suffix(last)?.trim_end().ends_with([':', '-']);
    (is_value && marks.chars().all(|mark| mark == '-' || mark == '+' || mark.is_ascii_digit()))
        .then(|| marks.contains(|mark: char| mark.is_ascii_digit()))
}

/// The comments of a text, in order. What stands in blocks of text may look like one: it is compared as if it were.
pub(super) fn comments(text: &str) -> Vec<String> {
    let mut open = Open::default();
    let mut found = Vec::new();
    for line in text.lines() {
        let seen = Seen::of(line, &mut open);
        found.extend(seen.comment.and_then(|at| line.get(at..)).map(|comment| comment.trim_end().to_owned()));
    }
    found
}
