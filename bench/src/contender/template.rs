//! Configurations from `bench/peers`, filled in: `@WORD@` becomes its value.

use anyhow::ensure;

/// Fills a template in.
///
/// # Errors
/// Where a word has no value.
pub(super) fn fill(template: &str, words: &[(&str, &str)]) -> anyhow::Result<String> {
    let mut text = template.to_owned();
    for (word, value) in words {
        text = text.replace(&format!("@{word}@"), value);
    }
    let left = text.lines().find(|line| !line.trim_start().starts_with('#') && has_word(line));
    ensure!(left.is_none(), "the template asks for more: `{}`", left.unwrap_or_default().trim());
    Ok(text)
}

fn has_word(line: &str) -> bool {
    let inside: Vec<&str> = line.split('@').skip(1).collect();
    let is_word = |part: &&str| !part.is_empty() && part.chars().all(|letter| letter.is_ascii_uppercase() || letter == '_');
    inside.split_last().is_some_and(|(_, inside)| inside.iter().any(is_word))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "test code")]
mod tests {
    use super::*;

    #[test]
    fn words_are_filled_in_and_none_is_left() {
        assert_eq!(fill("a @B@ \"@type\" @B@", &[("B", "c")]).unwrap(), "a c \"@type\" c");
        let error = fill("# @WORDS@\nport @PORT@", &[("B", "c")]).unwrap_err().to_string();
        assert_eq!(error, "the template asks for more: `port @PORT@`");
    }
}
