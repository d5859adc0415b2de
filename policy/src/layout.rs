//! The layout of a policy file: two spaces a level, one space after a dash, no trailing space, at most one blank line. Nothing else is
//! touched: neither the order of keys, nor how a value is written, nor a comment. What was laid out is read again and compared, with its
//! comments; where one of them is not what it was, the file stays as it is.

use serde_json::Value;

/// What of a line is still open at its end.
mod scan;

use scan::{Open, Seen};

/// How much deeper a level stands.
const STEP: usize = 2;

/// A level: where its lines stood, and where they stand now.
#[derive(Clone, Copy, Debug)]
struct Level {
    was: usize,
    is: usize,
    /// Whether its lines are items of a list.
    list: bool,
}

/// A block of text under `|` or `>`.
#[derive(Clone, Copy, Debug)]
struct Block {
    /// Where the line of its key stood.
    key_was: usize,
    /// Where its own lines stand now.
    is: usize,
    /// Where its first line stood, once that was seen.
    was: Option<usize>,
}

/// Lays a file out.
///
/// # Errors
/// Why it stays as it is: it is no YAML, or cannot be laid out without changing it.
pub fn layout(text: &str) -> Result<String, String> {
    let before = value(text)?;
    let out = Layout::default().lines(text)?;
    if value(&out).as_ref() != Ok(&before) || scan::comments(&out) != scan::comments(text) {
        return Err("it cannot be laid out without changing what it says".to_owned());
    }
    Ok(out)
}

fn value(text: &str) -> Result<Value, String> {
    serde_saphyr::from_str(text).map_err(|_| "it cannot be read as one YAML document".to_owned())
}

#[derive(Debug, Default)]
struct Layout {
    out: String,
    levels: Vec<Level>,
    block: Option<Block>,
    open: Open,
    /// By how much the line moved that opened what is still open.
    moved: (usize, usize),
    /// Comments that wait for the line that they stand above.
    comments: Vec<(usize, String)>,
    is_blank: bool,
}

impl Layout {
    fn lines(mut self, text: &str) -> Result<String, String> {
        for line in text.lines() {
            let line = line.strip_suffix('\r').unwrap_or(line);
            let indent = line.len() - line.trim_start_matches(' ').len();
            if !self.is_of_block(line, indent) {
                self.line(line, indent)?;
            }
        }
        let levels = self.levels.clone();
        self.flush(&levels, None);
        Ok(self.out)
    }

    /// Takes a line of a block of text as it is, but for where it stands.
    fn is_of_block(&mut self, line: &str, indent: usize) -> bool {
        let Some(block) = &mut self.block else { return false };
        if line.trim().is_empty() {
            self.out.push('\n');
            return true;
        }
        if indent <= block.key_was {
            self.block = None;
            return false;
        }
        let was = *block.was.get_or_insert(indent);
        let is = block.is + indent.saturating_sub(was);
        self.push(is, line.get(indent..).unwrap_or_default());
        true
    }

    fn line(&mut self, line: &str, indent: usize) -> Result<(), String> {
        let content = line.get(indent..).unwrap_or_default().trim_end();
        if self.open.is_any() {
            let (was, is) = self.moved;
            let at = if content.is_empty() { 0 } else { (is + indent).saturating_sub(was).max(is) };
            // What stands at the end of a line in quotes counts.
            let seen = Seen::of(content, &mut self.open);
            self.push(at, content);
            return self.begin_block(&seen, was, is);
        }
        if content.starts_with('\t') {
            return Err("a line begins with a tab".to_owned());
        }
        if content.is_empty() {
            self.is_blank = true;
            if !self.comments.is_empty() {
                self.comments.push((0, String::new()));
                self.is_blank = false;
            }
            return Ok(());
        }
        if content.starts_with('#') {
            if std::mem::take(&mut self.is_blank) {
                self.comments.push((0, String::new()));
            }
            self.comments.push((indent, content.to_owned()));
            return Ok(());
        }
        self.content(content, indent)
    }

    fn content(&mut self, content: &str, indent: usize) -> Result<(), String> {
        let levels = self.levels.clone();
        let is = self.level(indent, is_item(content));
        self.flush(&levels, Some((indent, is)));
        let (mut was, mut at, mut rest) = (indent, is, content);
        let mut text = String::new();
        while is_item(rest) {
            let inner = rest.get(1..).unwrap_or_default().trim_start();
            text.push_str(if inner.is_empty() { "-" } else { "- " });
            was += rest.len() - inner.len();
            at += STEP;
            rest = inner;
            if !rest.is_empty() {
                self.levels.push(Level { was, is: at, list: is_item(rest) });
            }
        }
        let seen = Seen::of(rest, &mut self.open);
        text.push_str(rest);
        self.push(is, &text);
        self.moved = (was, at);
        self.begin_block(&seen, was, at)
    }

    fn begin_block(&mut self, seen: &Seen, key_was: usize, key_is: usize) -> Result<(), String> {
        match seen.block {
            None => Ok(()),
            // A digit says how deep its lines stand: they could not be moved.
            Some(true) => Err("a block of text says how deep it stands".to_owned()),
            Some(false) => {
                self.block = Some(Block { key_was, is: key_is + STEP, was: None });
                Ok(())
            }
        }
    }

    /// Where a line stands that stood here.
    fn level(&mut self, was: usize, item: bool) -> usize {
        while self.levels.last().is_some_and(|top| top.was > was || top.was == was && top.list && !item) {
            self.levels.pop();
        }
        let is = match self.levels.last() {
            None => 0,
            // An item where keys stand is the value of the last of them.
            Some(top) if top.was < was || item && !top.list => top.is + STEP,
            Some(top) => return top.is,
        };
        self.levels.push(Level { was, is, list: item });
        is
    }

    /// Writes the comments that wait: where they stood with the next line they stand with it.
    fn flush(&mut self, levels: &[Level], next: Option<(usize, usize)>) {
        let mut comments = std::mem::take(&mut self.comments);
        if next.is_none() {
            while comments.last().is_some_and(|(_, text)| text.is_empty()) {
                comments.pop();
            }
        }
        for (was, text) in comments {
            let is = match next {
                Some((line_was, line_is)) if line_was == was => line_is,
                _ => {
                    let near = levels.iter().rev().find(|level| level.was <= was).map_or(0, |level| level.was);
                    // Of a key and the list beside it, the key.
                    levels.iter().find(|level| level.was == near).map_or(0, |level| level.is)
                }
            };
            self.blank_or(is, &text);
        }
        if std::mem::take(&mut self.is_blank) && next.is_some() {
            self.blank_or(0, "");
        }
    }

    /// Writes a line; a blank one neither at the beginning nor after another.
    fn blank_or(&mut self, is: usize, text: &str) {
        if !text.is_empty() || !(self.out.is_empty() || self.out.ends_with("\n\n")) {
            self.push(is, text);
        }
    }

    fn push(&mut self, is: usize, text: &str) {
        if !text.is_empty() {
            self.out.extend(std::iter::repeat_n(' ', is));
        }
        self.out.push_str(text);
        self.out.push('\n');
    }
}

fn is_item(content: &str) -> bool {
    content == "-" || content.starts_with("- ")
}

#[cfg(test)]
mod tests;
