//! The source files of the repository, and the views that the rules take of them.

use std::path::{Path, PathBuf};

/// One file, by its path from the root of the repository.
pub(crate) struct Source {
    pub(crate) path: String,
    pub(crate) text: String,
}

impl Source {
    pub(crate) fn new(path: &str, text: &str) -> Self {
        Self { path: path.into(), text: text.into() }
    }

    /// The code that ships: comments and the contents of strings blanked, the test module at the end cut off. Lines keep their numbers.
    pub(crate) fn shipped(&self) -> String {
        if self.is_test() {
            return String::new();
        }
        let code = code_only(&self.text);
        match test_module(&code) {
            Some(start) => code[..start].into(),
            None => code,
        }
    }

    /// Whether the whole file is test code.
    fn is_test(&self) -> bool {
        self.path.split('/').any(|part| part == "tests" || part == "tests.rs" || part.ends_with("_tests.rs"))
    }

    /// `path:line` of a byte offset.
    pub(crate) fn at(&self, offset: usize) -> String {
        let line = self.text[..offset].matches('\n').count() + 1;
        format!("{}:{line}", self.path)
    }
}

/// Where `#[cfg(test)] mod … {` begins, other attributes allowed between the two.
fn test_module(code: &str) -> Option<usize> {
    code.match_indices("#[cfg(test)]").map(|(start, _)| start).find(|start| {
        code[*start..]
            .lines()
            .map(str::trim)
            .find(|line| !line.is_empty() && !line.starts_with('#') && !line.ends_with(']') && !line.ends_with(','))
            .is_some_and(|line| line.starts_with("mod "))
    })
}

/// Blanks comments and the contents of literals; every byte keeps its place, so that offsets and line numbers stay true.
pub(crate) fn code_only(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let taken = opaque(rest).unwrap_or(0);
        if taken > 0 {
            out.extend(rest[..taken].bytes().map(|byte| if byte == b'\n' { '\n' } else { ' ' }));
            rest = &rest[taken..];
        } else {
            // A raw identifier or an `r` at the end of a word must not open a raw string: words are taken whole.
            let word = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
            let taken = if word > 0 { word } else { rest.chars().next().map_or(1, char::len_utf8) };
            out.push_str(&rest[..taken]);
            rest = &rest[taken..];
        }
    }
    out
}

/// Length of the comment or literal that begins here.
fn opaque(rest: &str) -> Option<usize> {
    if rest.starts_with("//") {
        return Some(rest.find('\n').unwrap_or(rest.len()));
    }
    if rest.starts_with("/*") {
        return Some(rest.find("*/").map_or(rest.len(), |end| end + 2));
    }
    let quoted = rest.strip_prefix('b').unwrap_or(rest);
    let prefix = rest.len() - quoted.len();
    if let Some(raw) = quoted.strip_prefix('r') {
        let hashes = raw.len() - raw.trim_start_matches('#').len();
        let body = raw[hashes..].strip_prefix('"')?;
        let close = format!("\"{}", "#".repeat(hashes));
        let end = body.find(&close).map_or(body.len(), |end| end + close.len());
        return Some(prefix + 1 + hashes + 1 + end);
    }
    if let Some(body) = quoted.strip_prefix('"') {
        return Some(prefix + 1 + closing(body, '"'));
    }
    // A character, not a lifetime: 'x' or '\…'.
    let body = quoted.strip_prefix('\'')?;
    let first = body.chars().next()?;
    let is_char = first == '\\' || body[first.len_utf8()..].starts_with('\'');
    is_char.then(|| prefix + 1 + closing(body, '\''))
}

/// Length up to and with the closing quote, minding escapes.
fn closing(body: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in body.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if c == quote => return at + 1,
            _ => {}
        }
    }
    body.len()
}

/// The root of the repository.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

/// Every file under the root with one of these extensions, without what git does not keep.
pub(crate) fn files(extensions: &[&str]) -> Vec<Source> {
    let mut found = Vec::new();
    walk(&root(), &mut |path| {
        if path.extension().is_some_and(|e| extensions.contains(&e.to_str().unwrap_or_default())) {
            let name = path.strip_prefix(root()).unwrap().to_str().unwrap();
            found.push(Source::new(name, &std::fs::read_to_string(path).unwrap()));
        }
    });
    found
}

fn walk(folder: &Path, visit: &mut dyn FnMut(&Path)) {
    for entry in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        let name = entry.file_name().unwrap().to_str().unwrap();
        if ["target", ".git", "node_modules"].contains(&name) {
            continue;
        }
        if entry.is_dir() { walk(&entry, visit) } else { visit(&entry) }
    }
}
