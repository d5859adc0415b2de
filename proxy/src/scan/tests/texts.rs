use std::os::unix::fs::symlink;

use super::super::Sure;
use super::*;
use crate::inventory::Severity;

#[test]
fn every_shape_is_found_and_one_that_is_cut_is_not() {
    for shape in SHAPES {
        let key = sample(shape, 1);
        let scanned = scan_text(&format!("# a comment\n{}\"{key}\"\n", named(shape)));
        let row = scanned.rows.iter().find(|row| row.key == shape.id).unwrap_or_else(|| panic!("{}: {:?}", shape.id, told(&scanned)));
        assert_eq!((row.line, row.vendor.as_str(), row.found_by), (Some(2), shape.vendor, "keygress"), "{}", shape.id);
        assert_eq!(row.fingerprint.as_ref().map(String::len), Some(16), "{}", shape.id);
        assert_silent(&scanned, &[&key]);
        let is_exact = shape.runs.iter().all(|run| run.least == run.most) && shape.runs.last().is_some_and(|run| run.then.is_empty());
        if is_exact {
            let cut = &key[..key.len() - 1];
            let longer = format!("{key}a");
            for wrong in [cut, &longer] {
                let scanned = scan_text(&format!("{}\"{wrong}\"\n", named(shape)));
                assert!(!scanned.rows.iter().any(|row| row.key == shape.id), "{}: {:?}", shape.id, told(&scanned));
            }
        }
    }
}

#[test]
fn a_checksum_that_does_not_fit_is_no_key_and_one_that_does_is_certain() {
    let key = key("github-pat");
    let other = format!("{}{}", &key[..key.len() - 1], if key.ends_with('A') { 'B' } else { 'A' });
    let scanned = scan_text(&format!("{key}\n{other}\n"));
    assert_eq!(told(&scanned), ["github-pat 1"]);
    assert_eq!((scanned.rows[0].sure, scanned.rows[0].severity), (Sure::Proven, Severity::High));
}

#[test]
fn a_key_without_a_shape_is_known_by_the_name_of_its_variable() {
    let key = key("datadog");
    for text in [
        "DD_API_KEY=<>",
        "export DD_API_KEY=\"<>\"",
        "PROD_DD_API_KEY = '<>';",
        "dd_api_key: <> # old",
        "\"DD_API_KEY\": \"<>\",",
        "ENV DD_API_KEY <>",
        "- name: DD_API_KEY\n  value: \"<>\"",
        "{ \"name\": \"DD_API_KEY\", \"value\": \"<>\" }",
        "'DD_API_KEY' => '<>'",
        "DD_API_KEY := <>",
        "x = \"{\\\"DD_API_KEY\\\": \\\"<>\\\"}\"",
    ] {
        let scanned = scan_text(&text.replace("<>", &key));
        assert_eq!(scanned.rows.len(), 1, "{text}");
        assert_eq!(scanned.rows[0].sure, Sure::Name, "{text}");
    }
    for text in [
        format!("DD_API_KEY_FILE={key}"),
        format!("ODD_API_KEY={key}"),
        format!("md5: {key}"),
        format!("DD_API_KEY and {key}"),
        "DD_API_KEY=${DD_API_KEY}".to_owned(),
    ] {
        assert_eq!(told(&scan_text(&text)), Vec::<String>::new(), "{text}");
    }
}

#[test]
fn what_people_write_where_a_key_would_stand_is_none() {
    let text = "sk-ant-api03-xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx
AKIAIOSFODNN7EXAMPLE
STRIPE=sk_test_your_key_goes_here_and_here
DD_API_KEY=00000000000000000000000000000000
glpat-your-token-goes-here
-----BEGIN PRIVATE KEY-----
...
-----END PRIVATE KEY-----
";
    assert_eq!(told(&scan_text(text)), Vec::<String>::new());
}

#[test]
fn a_key_is_found_wherever_a_word_begins() {
    let key = key("groq");
    for before in ["", "\"", "=", ":", "Bearer ", "\\n", "%3D", "/", "(", "-", "é"] {
        assert_eq!(scan_text(&format!("{before}{key}")).rows.len(), 1, "{before}");
    }
    for before in ["a", "_", "7"] {
        assert_eq!(scan_text(&format!("{before}{key}")).rows.len(), 0, "{before}");
    }
    let scanned = scan_text(&format!("é {key} x\n"));
    assert_eq!(scanned.rows[0].column, Some(3), "in characters");
}

#[test]
fn what_a_secret_of_kubernetes_holds_in_base64_is_decoded() {
    let (groq, datadog) = (key("groq"), key("datadog"));
    let [coded, named] = [&groq, &datadog].map(|key| STANDARD.encode(key));
    let folded = coded.as_bytes().chunks(20).map(|line| format!("    {}\n", String::from_utf8_lossy(line))).collect::<String>();
    let registry = STANDARD.encode(format!("{{\"auths\":{{\"r\":{{\"auth\":\"{}\"}}}}}}", STANDARD.encode(format!("user:{groq}"))));
    for (text, expected) in [
        (format!("apiVersion: v1\nkind: Secret\ndata:\n  a: {coded}\n  DD_API_KEY: {named}\n"), vec!["datadog 5", "groq 4"]),
        (format!("kind: Secret\ndata:\n  a: |\n{folded}  b: x\n"), vec!["groq 4"]),
        (format!("{{\"data\":{{\"DD_API_KEY\":\"{named}\"}},\"kind\":\"Secret\"}}"), vec!["datadog 1"]),
        (format!("kind: Secret\ndata:\n  .dockerconfigjson: {registry}\n"), vec!["groq 3"]),
        (format!("{{\"auths\": {{\"r\": {{\"auth\": \"{}\"}}}}}}", STANDARD.encode(format!("user:{groq}"))), vec!["groq 1"]),
        (format!("kind: ConfigMap\ndata:\n  a: {coded}\n"), vec![]),
        (format!("kind: SecretStore\ndata:\n  a: {coded}\n"), vec![]),
    ] {
        let scanned = scan_text(&text);
        assert_eq!(told(&scanned), expected, "{text}");
        assert!(scanned.rows.iter().all(|row| row.coded));
        assert_silent(&scanned, &[&groq, &datadog]);
    }
}

#[test]
fn a_private_key_has_one_fingerprint_however_it_is_written() {
    let key = key("private-key");
    let json = format!("{{\"private_key\": \"{}\"}}", key.replace('\n', "\\n"));
    let indented = key.lines().map(|line| format!("    {line}\n")).collect::<String>();
    let scanned = scan_text(&format!("{key}{json}\n{indented}"));
    assert_eq!(scanned.rows.len(), 3);
    assert!(scanned.rows.windows(2).all(|pair| pair[0].fingerprint == pair[1].fingerprint));
    let encrypted = key.replace("-----\n", "-----\nProc-Type: 4,ENCRYPTED\n");
    assert_eq!(scan_text(&encrypted).rows.len(), 0, "an encrypted key opens nothing by itself");
}

#[test]
fn a_file_of_any_length_is_searched_to_its_end() {
    let key = key("groq");
    let line = format!("{}\n", "x".repeat(99));
    let text = format!("{}{key}\n", line.repeat(100_000));
    assert_eq!(told(&scan_text(&text)), ["groq 100001"]);
    // Without a line end pieces overlap: wherever the key lies it is found, and once.
    for before in [(4 << 20) - 20, (4 << 20) - 8000, 8 << 20] {
        assert_eq!(told(&scan_text(&format!("{} {key} {}", "y".repeat(before), "z".repeat(9000)))), ["groq 1"], "{before}");
    }
}

#[test]
fn what_is_passed_over_is_counted_and_what_is_ignored_by_git_is_not_passed_over() {
    let key = key("groq");
    let env = format!("GROQ_API_KEY={key}\n");
    let binary = format!("\0{key}");
    let folder = folder(&[
        (".gitignore", b".env\n"),
        (".env", env.as_bytes()),
        ("tool", binary.as_bytes()),
        (".git/HEAD", b"ref: refs/heads/main\n"),
        (".git/refs/keep", b""),
        (".git/objects/aa/bb", env.as_bytes()),
        (".git/config", format!("url = https://x:{key}@example.com\n").as_bytes()),
    ]);
    let outside = super::folder(&[("more.env", env.as_bytes())]);
    symlink(outside.path(), folder.path().join("linked")).unwrap();
    symlink(folder.path(), folder.path().join("loop")).unwrap();
    let scanned = scan(&[folder.path().to_owned()]);
    let mut files: Vec<_> = scanned.rows.iter().map(|row| row.file.rsplit('/').next().unwrap()).collect();
    files.sort_unstable();
    assert_eq!(files, [".env", "config"]);
    assert_eq!((scanned.binary, scanned.links, scanned.incomplete.len()), (1, 2, 0));
    assert_eq!(scan(&[folder.path().join("linked")]).rows.len(), 1, "a link that is named is followed");
    assert!(scan(&[folder.path().join("nothing")]).incomplete[0].why.contains("No such file"));
}

#[test]
fn a_file_that_is_called_like_a_key_does_not_give_it_away() {
    let key = key("groq");
    let folder = folder(&[(&format!("{key}.txt\u{1b}[2J"), key.as_bytes())]);
    let scanned = scan(&[folder.path().to_owned()]);
    assert!(scanned.rows[0].file.ends_with("(key).txt\u{fffd}[2J"), "{}", scanned.rows[0].file);
    assert_silent(&scanned, &[&key]);
}
