use std::fs;
use std::path::{Path, PathBuf};

/// Where a repository keeps its list of owners, the first that is there counts.
const PLACES: [&str; 4] = [".github/CODEOWNERS", ".gitlab/CODEOWNERS", "CODEOWNERS", "docs/CODEOWNERS"];

/// The longest list that is read, in bytes: that of GitHub.
const BYTES_MAX: u64 = 3 << 20;

/// Who answers for the files of a repository.
#[derive(Debug, Default)]
pub(super) struct Owners {
    /// Patterns and owners, in the order of the file: the last that fits counts.
    entries: Vec<(Pattern, String)>,
}

#[derive(Debug)]
struct Pattern {
    segments: Vec<String>,
    /// It may also be a folder: then it is for all that is below.
    below: bool,
}

/// The repository that a file lies in.
pub(super) fn repository(file: &Path) -> Option<PathBuf> {
    let file = fs::canonicalize(file).ok()?;
    file.ancestors().skip(1).find(|folder| folder.join(".git").exists()).map(Path::to_owned)
}

impl Owners {
    /// The list of the folder; an empty one where there is none.
    pub(super) fn of(root: &Path) -> Self {
        let small = |path: &PathBuf| fs::metadata(path).is_ok_and(|file| file.is_file() && file.len() <= BYTES_MAX);
        let found = PLACES.iter().map(|place| root.join(place)).find(small);
        found.and_then(|path| fs::read_to_string(path).ok()).map_or_else(Self::default, |text| Self::parse(&text))
    }

    fn parse(text: &str) -> Self {
        let mut entries = Vec::new();
        let mut of_section = String::new();
        for line in text.lines() {
            let line = line.trim();
            if let Some(rest) = line.strip_prefix("^[").or_else(|| line.strip_prefix('[')) {
                // A section of GitLab: `[Name][2] @default`.
                let owners = rest.rsplit(']').next().unwrap_or_default();
                of_section = owners.split_whitespace().collect::<Vec<_>>().join(" ");
                continue;
            }
            let mut words = words(line);
            if words.is_empty() {
                continue;
            }
            let pattern = words.remove(0);
            let owners = if words.is_empty() { of_section.clone() } else { words.join(" ") };
            entries.push((Pattern::parse(&pattern), owners));
        }
        Self { entries }
    }

    /// The owners of a file, by its path from the root; `None` where nobody is named.
    pub(super) fn for_path(&self, path: &str) -> Option<&str> {
        let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
        let (_, owners) = self.entries.iter().rev().find(|(pattern, _)| pattern.fits(&segments))?;
        (!owners.is_empty()).then_some(owners)
    }
}

/// The words of a line up to a comment; `\ ` and `\#` are no end of one.
fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => words.last_mut().into_iter().for_each(|word| word.extend(chars.next())),
            '#' if words.last().is_some_and(String::is_empty) => break,
            c if c.is_whitespace() => words.push(String::new()),
            c => words.last_mut().into_iter().for_each(|word| word.push(c)),
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

impl Pattern {
    fn parse(text: &str) -> Self {
        let is_folder = text.ends_with('/');
        let bare = text.trim_end_matches('/');
        // Only a slash before the end ties a pattern to the root.
        let is_tied = bare.contains('/');
        let mut segments: Vec<String> = bare.split('/').filter(|segment| !segment.is_empty()).map(str::to_owned).collect();
        if !is_tied {
            segments.insert(0, "**".to_owned());
        }
        // `docs/*` is for files in `docs` and not for what lies deeper.
        let below = is_folder || segments.last().is_some_and(|last| last != "*" || !is_tied);
        if is_folder {
            segments.push("*".to_owned());
        }
        Self { segments, below }
    }

    fn fits(&self, path: &[&str]) -> bool {
        let segments: Vec<&str> = self.segments.iter().map(String::as_str).collect();
        fits(&segments, path, self.below)
    }
}

fn fits(pattern: &[&str], path: &[&str], below: bool) -> bool {
    let Some((first, rest)) = pattern.split_first() else { return path.is_empty() || below };
    if *first == "**" {
        return (0..=path.len()).any(|skipped| path.get(skipped..).is_some_and(|path| fits(rest, path, below)));
    }
    path.split_first().is_some_and(|(segment, path)| glob(first.as_bytes(), segment.as_bytes()) && fits(rest, path, below))
}

/// `*` and `?` within a segment, without going back further than to the last `*`.
fn glob(pattern: &[u8], text: &[u8]) -> bool {
    let (mut at, mut in_text, mut star) = (0, 0, None);
    while let Some(byte) = text.get(in_text) {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at, in_text));
                at += 1;
            }
            Some(wanted) if *wanted == b'?' || wanted == byte => {
                at += 1;
                in_text += 1;
            }
            _ => {
                let Some((star_at, from)) = star else { return false };
                star = Some((star_at, from + 1));
                at = star_at + 1;
                in_text = from + 1;
            }
        }
    }
    pattern.get(at..).is_some_and(|rest| rest.iter().all(|byte| *byte == b'*'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_pattern_that_fits_names_the_owners() {
        let owners = Owners::parse(
            "# a list\n* @all\n*.js @web # not this\n/build/logs/ @ops\ndocs/* @writers\napps/ @apps\n/apps/quiet\nsrc/**/keys.env @sec a@example.com\n/with\\ space @s\n[Section] @gitlab\n/sec/\n",
        );
        let of = |path: &str| owners.for_path(path).unwrap_or("-").to_owned();
        for (path, expected) in [
            ("x.txt", "@all"),
            ("deep/in/x.js", "@web"),
            ("build/logs/a/b", "@ops"),
            ("other/build/logs/a", "@all"),
            ("docs/a.md", "@writers"),
            ("docs/deep/a.md", "@all"),
            ("x/apps/a", "@apps"),
            ("apps/quiet", "-"),
            ("apps/quiet/a", "-"),
            ("src/keys.env", "@sec a@example.com"),
            ("src/a/b/keys.env", "@sec a@example.com"),
            ("with space", "@s"),
            ("sec/a", "@gitlab"),
        ] {
            assert_eq!(of(path), expected, "{path}");
        }
        assert_eq!(Owners::default().for_path("x"), None);
    }

    #[test]
    fn a_star_is_not_gone_back_on_without_end() {
        assert!(glob(b"a*b*c", b"axxbyybzzc") && !glob(b"a*b*d", b"axxbyybzzc") && glob(b"*", b"") && glob(b"a?c", b"abc"));
        assert!(!glob("*a".repeat(40).as_bytes(), "b".repeat(5000).as_bytes()));
    }
}
