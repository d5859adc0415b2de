use keygress_policy::preset;
use zeroize::Zeroizing;

use super::{Found, Kind, Login};

/// Words at the end of a name that say of a variable that it holds a secret.
const SECRET_WORDS: [&str; 6] = ["TOKEN", "KEY", "SECRET", "PASSWORD", "PASSWD", "CREDENTIALS"];

/// The logins among variables; `place` says where they stand, as in "in `.env`".
pub fn logins(variables: impl IntoIterator<Item = (String, Zeroizing<String>)>, place: &str) -> Found {
    let mut found = Found::default();
    for (name, value) in variables {
        let from = format!("`{name}` {place}");
        if value.trim().is_empty() || value.starts_with(['$', '<']) {
            continue;
        }
        // Of several presets with one variable the first by name is the API itself.
        let known = || preset::all().into_iter().filter(|preset| preset.env == name);
        let Some(preset) = known().find(|preset| super::unfit(preset).is_none()) else {
            let why = known().find_map(super::unfit);
            let is_secret = SECRET_WORDS.iter().any(|word| name.to_ascii_uppercase().ends_with(word));
            let unknown = || "no preset has this variable; write its credential by hand, or `keygress seal` it".to_owned();
            if let Some(why) = why.or_else(|| is_secret.then(unknown)) {
                found.passed_over.push(format!("{from}: {why}"));
            }
            continue;
        };
        if value.chars().any(char::is_control) {
            found.passed_over.push(format!("{from}: its value has more than one line"));
            continue;
        }
        let remedy = format!("take {from} away");
        found.logins.push(Login { from, name: super::name(preset.name), kind: Kind::Key { preset, hosts: Vec::new(), value }, remedy });
    }
    found
}

/// The variables of a `.env` file: `NAME=value`, also with `export`, quotes and comments. A line that is none is left out.
pub fn of_file(text: &str) -> Vec<(String, Zeroizing<String>)> {
    let variables = text.lines().filter_map(|line| {
        let line = line.trim();
        let line = line.strip_prefix("export ").unwrap_or(line);
        let (name, value) = line.split_once('=')?;
        let name = name.trim();
        let fits = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        fits.then(|| (name.to_owned(), Zeroizing::new(unquoted(value.trim()).to_owned())))
    });
    variables.collect()
}

fn unquoted(value: &str) -> &str {
    for quote in ['"', '\''] {
        if let Some((inside, _)) = value.strip_prefix(quote).and_then(|rest| rest.split_once(quote)) {
            return inside;
        }
    }
    value.split_once(" #").map_or(value, |(value, _)| value.trim_end())
}
