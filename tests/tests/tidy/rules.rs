//! Each rule takes a source and says what is wrong, as `path:line: sentence`.

use crate::source::{Source, code_only};

const STAGES: [&str; 8] = ["accept", "admission", "caller", "limits", "credentials", "forward", "scrub", "audit"];

/// Where `Secret::expose` may be called.
const EXPOSING: [&str; 3] = ["policy/src/inject/", "proxy/src/credentials/", "proxy/src/needles"];

pub(crate) fn length(source: &Source) -> Vec<String> {
    let lines = source.text.lines().count();
    if lines > 400 { vec![format!("{}: {lines} lines; split it by idea", source.path)] } else { vec![] }
}

pub(crate) fn names(source: &Source) -> Vec<String> {
    let empty = ["util", "utils", "helper", "helpers", "common", "misc", "part2"];
    let parts = source.path.split('/').map(|part| part.split('.').next().unwrap_or(part));
    parts.filter(|part| empty.contains(part)).map(|part| format!("{}: `{part}` says nothing; name the idea", source.path)).collect()
}

/// Only `accept` (which holds what connections share) and `exchange` know the stages. One door is agreed: credentials record in the audit.
pub(crate) fn stages(source: &Source) -> Vec<String> {
    let Some(stage) = stage_of(&source.path).filter(|stage| *stage != "accept") else { return vec![] };
    let code = source.shipped();
    let mut wrong = Vec::new();
    for (offset, module) in imports(&code) {
        let foreign = STAGES.contains(&module) && module != stage || module == "exchange";
        if foreign && (stage, module) != ("credentials", "audit") {
            wrong.push(format!("{}: the stage `{stage}` uses `{module}`; stages share words, not code", source.at(offset)));
        }
    }
    wrong
}

fn stage_of(path: &str) -> Option<&str> {
    let below = path.strip_prefix("proxy/src/")?;
    let first = below.split('/').next()?;
    let name = first.strip_suffix(".rs").unwrap_or(first);
    STAGES.contains(&name).then_some(name)
}

/// The modules of the own crate that the code names, with the place: `crate::name` and the names in `crate::{…}`.
fn imports(code: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    for (offset, opening) in code.match_indices("crate::") {
        let rest = &code[offset + opening.len()..];
        match rest.strip_prefix('{') {
            Some(group) => found.extend(heads(group).into_iter().map(|name| (offset, name))),
            None => found.push((offset, word(rest))),
        }
    }
    found
}

/// The first word of each item of a group, up to its closing brace; what is nested deeper belongs to the word before.
fn heads(group: &str) -> Vec<&str> {
    let mut depth = 0;
    let mut start = 0;
    let mut found = Vec::new();
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            '}' => {
                found.push(word(group[start..at].trim_start()));
                return found;
            }
            ',' if depth == 0 => {
                found.push(word(group[start..at].trim_start()));
                start = at + 1;
            }
            _ => {}
        }
    }
    found
}

fn word(text: &str) -> &str {
    &text[..text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len())]
}

/// `metrics.expose()` renders metrics and is another method.
pub(crate) fn exposure(source: &Source) -> Vec<String> {
    let ours = source.path.starts_with("policy/src/") || source.path.starts_with("proxy/src/");
    if !ours || EXPOSING.iter().any(|place| source.path.starts_with(place)) {
        return vec![];
    }
    let code = source.shipped();
    let calls = code.match_indices("expose").filter(|(at, _)| {
        let before = code[..*at].trim_end();
        let called = before.ends_with('.') && !before.ends_with("metrics.") || before.ends_with("Secret::");
        called && word(&code[*at..]) == "expose"
    });
    calls.map(|(at, _)| format!("{}: a secret is exposed here; that is for {}", source.at(at), EXPOSING.join(", "))).collect()
}

pub(crate) fn sending(source: &Source) -> Vec<String> {
    if !source.path.starts_with("proxy/src/") || source.path.starts_with("proxy/src/forward/") {
        return vec![];
    }
    let code = source.shipped();
    let calls: Vec<_> = code.match_indices("forward::").filter(|(at, found)| names_send(&code[at + found.len()..])).collect();
    if source.path == "proxy/src/exchange.rs" {
        return if calls.is_empty() { vec![format!("{}: nothing is sent; where did the only call go?", source.path)] } else { vec![] };
    }
    calls.into_iter().map(|(at, _)| format!("{}: only `exchange` sends; go through it", source.at(at))).collect()
}

fn names_send(rest: &str) -> bool {
    match rest.strip_prefix('{') {
        Some(group) => heads(group).contains(&"send") || heads(group).contains(&"self"),
        None => word(rest) == "send" || rest.starts_with('*'),
    }
}

/// No files, sockets, variables, clocks or randomness in the crate that decides.
pub(crate) fn purity(source: &Source) -> Vec<String> {
    if !source.path.starts_with("policy/src/") {
        return vec![];
    }
    let outside = [
        "std::fs",
        "std::env",
        "std::process",
        "std::net::Tcp",
        "std::net::Udp",
        "std::os",
        "std::thread",
        "SystemTime",
        "Instant",
        "Timestamp::now",
        "Zoned::now",
        "async ",
    ];
    let code = source.shipped();
    let found = outside.iter().flat_map(|word| code.match_indices(word));
    found.map(|(at, word)| format!("{}: `{}` has no place in `policy`; hand it in", source.at(at), word.trim())).collect()
}

/// The crates of a dependency tree, one `name version` a line, that touch the world.
pub(crate) fn dependencies(tree: &str) -> Vec<String> {
    let outside = ["tokio", "hyper", "hyper-util", "mio", "socket2", "rustls", "rustix", "notify", "getrandom", "rand"];
    tree.lines().filter(|line| outside.contains(&line.split(' ').next().unwrap_or_default())).map(str::to_owned).collect()
}

/// In `lib.rs` and `mod.rs` every module has one doc line above it and stands apart.
pub(crate) fn contents(source: &Source) -> Vec<String> {
    if !(source.path.ends_with("/lib.rs") || source.path.ends_with("/mod.rs")) {
        return vec![];
    }
    let lines: Vec<_> = source.text.lines().collect();
    let mut wrong = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let module = line.trim_start_matches("pub(crate) ").trim_start_matches("pub ");
        if !module.starts_with("mod ") || !module.ends_with(';') || module == "mod tests;" {
            continue;
        }
        let above = lines[..at].iter().rev().find(|line| !line.starts_with("#["));
        if !above.is_some_and(|line| line.starts_with("///")) {
            wrong.push(format!("{}:{}: `{line}` has no line that says what is in it", source.path, at + 1));
        }
        if lines.get(at + 1).is_some_and(|next| !next.is_empty()) {
            wrong.push(format!("{}:{}: no blank line after `{line}`; rustfmt would sort it", source.path, at + 1));
        }
    }
    wrong
}

pub(crate) fn open_ends(source: &Source) -> Vec<String> {
    let mut wrong = Vec::new();
    for mark in [concat!("TO", "DO"), concat!("FIX", "ME")] {
        for (at, _) in source.text.match_indices(mark) {
            let rest = &source.text[at + mark.len()..];
            let issue = rest.strip_prefix("(#").and_then(|rest| rest.split_once(')')).map(|(number, _)| number);
            if issue.is_none_or(|number| number.parse::<u32>().is_err()) {
                wrong.push(format!("{}: `{mark}` without an issue; write `{mark}(#12)` or do it", source.at(at)));
            }
        }
    }
    wrong
}

pub(crate) fn switched_off(source: &Source) -> Vec<String> {
    let code = code_only(&source.text);
    let found = ["#[ignore", "cfg_attr(ignore"].into_iter().flat_map(|off| code.match_indices(off).collect::<Vec<_>>());
    found.map(|(at, _)| format!("{}: a test is switched off; assert the known result with its issue", source.at(at))).collect()
}

/// A member's manifest takes every version, and the lints, from the root.
pub(crate) fn manifests(source: &Source) -> Vec<String> {
    if source.path == "Cargo.toml" || !source.path.ends_with("/Cargo.toml") {
        return vec![];
    }
    let mut wrong = Vec::new();
    let mut section = "";
    for (at, line) in source.text.lines().enumerate() {
        let place = format!("{}:{}", source.path, at + 1);
        if line.starts_with('[') {
            section = line;
        } else if section.contains("dependencies") && line.contains('=') && !inherits(line) {
            wrong.push(format!("{place}: `{line}`: set it in the root and write `.workspace = true`"));
        } else if line.starts_with("version =") || line.starts_with("edition =") {
            wrong.push(format!("{place}: `{line}` is the root's to say"));
        }
    }
    if !source.text.contains("[lints]\nworkspace = true") {
        wrong.push(format!("{}: does not take the lints of the workspace", source.path));
    }
    wrong
}

fn inherits(line: &str) -> bool {
    line.contains("workspace = true") && !line.contains("version") && !line.contains("path") && !line.contains("git =")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(rule: fn(&Source) -> Vec<String>, path: &str, text: &str) -> usize {
        rule(&Source::new(path, text)).len()
    }

    #[test]
    fn a_long_file_is_found() {
        assert_eq!(wrong(length, "proxy/src/a.rs", &"\n".repeat(400)), 0);
        assert_eq!(wrong(length, "proxy/src/a.rs", &"\n".repeat(401)), 1);
    }

    #[test]
    fn a_name_that_says_nothing_is_found() {
        assert_eq!(wrong(names, "proxy/src/utils.rs", ""), 1);
        assert_eq!(wrong(names, "proxy/src/helpers/mod.rs", ""), 1);
        assert_eq!(wrong(names, "proxy/src/forward/mod.rs", ""), 0);
    }

    #[test]
    fn a_stage_in_another_stage_is_found_however_it_is_written() {
        let path = "proxy/src/forward/pool.rs";
        assert_eq!(wrong(stages, path, "use crate::credentials::Slot;"), 1);
        assert_eq!(wrong(stages, path, "use crate::{\n    body::Body,\n    audit::{Audit, Event},\n};"), 1);
        assert_eq!(wrong(stages, path, "fn f() { crate::exchange::carry() }"), 1);
        assert_eq!(wrong(stages, path, "use crate::{body, metrics::Metrics};\nuse crate::forward::dial;"), 0);
        assert_eq!(wrong(stages, path, "// use crate::audit;\n#[cfg(test)]\nmod tests { use crate::audit::Audit; }"), 0);
        assert_eq!(wrong(stages, "proxy/src/credentials/slot.rs", "use crate::audit::Audit;"), 0);
        assert_eq!(wrong(stages, "proxy/src/limits.rs", "use crate::caller::Callers;"), 1);
        assert_eq!(wrong(stages, "proxy/src/accept/mod.rs", "use crate::caller::Callers;"), 0);
    }

    #[test]
    fn an_exposed_secret_is_found_outside_its_places() {
        assert_eq!(wrong(exposure, "proxy/src/admin/mod.rs", "fn f() { secret.expose(); }"), 1);
        assert_eq!(wrong(exposure, "proxy/src/admin/mod.rs", "fn f() { secret\n    .expose() }"), 1);
        assert_eq!(wrong(exposure, "proxy/src/admin/mod.rs", "tokens.map(Secret::expose)"), 1);
        assert_eq!(wrong(exposure, "proxy/src/admin/mod.rs", "let text = shared.metrics.expose();"), 0);
        assert_eq!(wrong(exposure, "proxy/src/needles/form.rs", "fn f() { secret.expose(); }"), 0);
        assert_eq!(wrong(exposure, "proxy/src/scrub.rs", "fn f() { secret.expose(); }"), 1);
        assert_eq!(wrong(exposure, "proxy/src/audit/mod.rs", "#[cfg(test)]\n#[allow(x)]\nmod tests { fn f() { s.expose(); } }"), 0);
        assert_eq!(wrong(exposure, "proxy/src/audit/mod.rs", "#[cfg(test)]\nuse a::b;\nfn f() { s.expose(); }"), 1);
    }

    #[test]
    fn a_second_caller_of_send_is_found() {
        assert_eq!(wrong(sending, "proxy/src/accept/route.rs", "forward::send(request).await"), 1);
        assert_eq!(wrong(sending, "proxy/src/accept/route.rs", "use crate::forward::{Upstream, send};"), 1);
        assert_eq!(wrong(sending, "proxy/src/accept/route.rs", "use crate::forward::*;"), 1);
        assert_eq!(wrong(sending, "proxy/src/accept/route.rs", "use crate::forward::tunnel;"), 0);
        assert_eq!(wrong(sending, "proxy/src/exchange.rs", "forward::send(request).await"), 0);
        assert_eq!(wrong(sending, "proxy/src/exchange.rs", "fn nothing() {}"), 1);
    }

    #[test]
    fn the_world_in_policy_is_found() {
        assert_eq!(wrong(purity, "policy/src/decide.rs", "let now = std::time::SystemTime::now();"), 1);
        assert_eq!(wrong(purity, "policy/src/decide.rs", "use std::fs;"), 1);
        assert_eq!(wrong(purity, "policy/src/decide.rs", "/// reads std::fs never\nuse std::net::IpAddr;"), 0);
        assert_eq!(wrong(purity, "proxy/src/reload.rs", "use std::fs;"), 0);
        assert_eq!(dependencies("keygress-policy v0.1.0\nhttp v1.0.0\ntokio v1.0.0\ntokio-util v1.0.0"), ["tokio v1.0.0"]);
    }

    #[test]
    fn a_module_without_its_line_is_found() {
        assert_eq!(wrong(contents, "proxy/src/lib.rs", "/// One.\npub mod one;\n\n/// Two.\n#[cfg(x)]\nmod two;\n\nmod tests;\n"), 0);
        assert_eq!(wrong(contents, "proxy/src/lib.rs", "pub mod one;\n"), 1);
        assert_eq!(wrong(contents, "proxy/src/lib.rs", "/// One.\npub mod one;\n/// Two.\nmod two;\n"), 1);
    }

    #[test]
    fn an_open_end_without_an_issue_is_found() {
        let mark = concat!("TO", "DO");
        assert_eq!(wrong(open_ends, "proxy/src/a.rs", &format!("// {mark}: later")), 1);
        assert_eq!(wrong(open_ends, "proxy/src/a.rs", &format!("// {mark}(#x): later")), 1);
        assert_eq!(wrong(open_ends, "proxy/src/a.rs", &format!("// {mark}(#12): later")), 0);
    }

    #[test]
    fn a_test_that_is_switched_off_is_found() {
        assert_eq!(wrong(switched_off, "proxy/src/a.rs", "#[test]\n#[ignore = \"slow\"]\nfn f() {}"), 1);
        assert_eq!(wrong(switched_off, "proxy/src/a.rs", "// #[ignore]\nlet text = \"#[ignore]\";"), 0);
    }

    #[test]
    fn a_version_in_a_member_is_found() {
        let lints = "[lints]\nworkspace = true\n";
        let of = |text: &str| wrong(manifests, "proxy/Cargo.toml", &format!("{text}\n{lints}"));
        assert_eq!(of("[dependencies]\nhttp.workspace = true\ntokio = { workspace = true, features = [\"net\"] }"), 0);
        assert_eq!(of("[dependencies]\nhttp = \"1\""), 1);
        assert_eq!(of("[dev-dependencies]\nhttp = { path = \"../http\" }"), 1);
        assert_eq!(of("[package]\nversion = \"1.0.0\""), 1);
        assert_eq!(wrong(manifests, "proxy/Cargo.toml", "[package]"), 1);
    }

    #[test]
    fn literals_and_comments_are_not_code() {
        let text = "let a = \"x.expose()\"; // b\nlet c = r#\"d\"e\"#; let f: &'static str = g('\\'', 'h', b'i');";
        let code = code_only(text);
        assert_eq!(code.len(), text.len());
        assert_eq!(code.split_whitespace().collect::<Vec<_>>().join(" "), "let a = ; let c = ; let f: &'static str = g( , , );");
    }
}
