use jiff::civil::date;
use keygress_policy::problem::SourceFile;

use super::super::row::{Because, Replacement};
use super::*;

fn policy(secret: &str) -> Policy {
    let text = format!(
        "version: 1
credentials:
  groq: {{ owner: a, static: {{ reason: a test, expires: 2099-12-31 }}, source: {{ file: '{secret}' }}, preset: groq }}
  by-host:
    owner: a
    static: {{ reason: a test, expires: 2099-12-31 }}
    source: {{ file: /run/secrets/other }}
    inject: bearer
    only_to: [slack.com]
  s3:
    owner: a
    static: {{ reason: a test, expires: 2099-12-31 }}
    source: {{ file: {{ path: /run/secrets/aws, access_key_id: AKIAIOSFODNN7EXAMPLE }} }}
    inject: {{ sigv4: {{ services: [s3], regions: [eu-west-1] }} }}
    only_to: ['*.s3.eu-west-1.amazonaws.com']
rules:
  a: {{ from: any, to: 'https://api.groq.com', allow: [GET /a], credential: groq }}
  b: {{ from: any, to: 'https://slack.com', allow: [GET /a], credential: by-host }}
  c: {{ from: any, to: 'https://b.s3.eu-west-1.amazonaws.com', allow: [GET /a], credential: s3 }}
"
    );
    let files = [SourceFile { name: "policy.yaml".into(), text }];
    Policy::compile(&files, date(2026, 1, 1)).unwrap_or_else(|problems| panic!("{problems:?}")).0
}

#[test]
fn each_key_is_told_which_credential_takes_its_place() {
    let (groq, slack, aws, linear) = (key("groq"), key("slack-bot"), key("aws-secret-key"), key("linear"));
    let folder =
        folder(&[("a.env", format!("{groq}\n{slack}\nAWS_SECRET_ACCESS_KEY={aws}\n{linear}\n").as_bytes()), ("secret", groq.as_bytes())]);
    let policy = policy(&folder.path().join("secret").display().to_string());
    let scanned = scan_with(&[folder.path().to_owned()], &[], Some(&policy), 1 << 20);
    let by = |id: &str| {
        let row = scanned.rows.iter().find(|row| row.key == id).unwrap();
        row.replaced_by.iter().map(|Replacement { because, credential }| (*because, credential.as_str())).collect::<Vec<_>>()
    };
    assert_eq!(by("groq"), [(Because::Preset, "groq")]);
    assert_eq!(by("slack-bot"), [(Because::Destination, "by-host")]);
    assert_eq!(by("aws-secret-key"), [(Because::Destination, "s3")]);
    assert_eq!(by("linear"), []);
    assert!(scanned.rows.iter().find(|row| row.key == "linear").unwrap().help.contains("`preset: linear`"));
    assert_eq!((scanned.rows.len(), scanned.sources), (4, 1), "the file that keygress reads is where the key should be");
}

#[test]
fn a_key_that_a_credential_had_is_told_by_its_fingerprint() {
    let groq = key("groq");
    let folder = folder(&[("a.env", groq.as_bytes())]);
    let fingerprints = Fingerprints::fresh();
    let print = fingerprints.of_value(groq.as_bytes()).to_string();
    let asked = Asked {
        paths: &[folder.path().to_owned()],
        imports: &[],
        policy: None,
        values: BTreeMap::from([(print, ["one".to_owned(), "two".to_owned()].into())]),
        fingerprints: &fingerprints,
        archive_bytes_max: 1,
        now: Timestamp::now(),
    };
    let scanned = run(asked).unwrap();
    let names: Vec<_> = scanned.rows[0].replaced_by.iter().map(|by| (by.because, by.credential.as_str())).collect();
    assert_eq!(names, [(Because::SameValue, "one"), (Because::SameValue, "two")]);
}

fn imported(report: &str) -> Scanned {
    let folder = folder(&[("report.json", report.as_bytes())]);
    scan_with(&[], &[folder.path().join("report.json")], None, 1)
}

#[test]
fn reports_of_gitleaks_and_trufflehog_are_read_and_their_keys_are_not_told() {
    let (groq, other) = (key("groq"), "correct-horse-battery-staple-9");
    let gitleaks = format!(
        r#"[{{"RuleID":"groq-key","Description":"d","StartLine":7,"StartColumn":3,"Match":"k={groq}","Secret":"{groq}","File":"app/a.env","Commit":"c","Email":"dev@example.com","Date":"2026-01-02T03:04:05Z","Fingerprint":"f"}},
        {{"RuleID":"generic-api-key","StartLine":1,"Secret":"{other}","File":"b/{other}.txt","Email":"","Date":""}},
        {{"RuleID":"stripe-access-token","StartLine":2,"Secret":"REDACTED","File":"c"}}]"#
    );
    let scanned = imported(&gitleaks);
    let row = |key: &str| scanned.rows.iter().find(|row| row.key == key).unwrap();
    let groq_row = row("groq");
    assert_eq!((groq_row.file.as_str(), groq_row.line, groq_row.owner.as_deref()), ("app/a.env", Some(7), Some("dev@example.com")));
    assert_eq!((groq_row.found_by, groq_row.age_from, groq_row.sure.as_str()), ("gitleaks", Some("report"), "shape"));
    assert_eq!((row("generic-api-key").file.as_str(), row("generic-api-key").sure.as_str()), ("b/(key).txt", "told"));
    assert_eq!(row("stripe-access-token").fingerprint, None);
    assert!(row("stripe-access-token").help.contains("preset: stripe"));
    assert_silent(&scanned, &[&groq, other]);

    let trufflehog = format!(
        "{{\"level\":\"info\",\"msg\":\"running\"}}\n{{\"SourceMetadata\":{{\"Data\":{{\"Git\":{{\"commit\":\"c\",\"file\":\"x.py\",\"email\":\"Dev <dev@example.com>\",\"timestamp\":\"2026-01-02 03:04:05 +0000\",\"line\":12}}}}}},\"DetectorName\":\"Custom\",\"Verified\":true,\"Raw\":\"{other}\"}}\n{{\"SourceMetadata\":{{\"Data\":{{\"Filesystem\":{{\"file\":\"y.py\",\"line\":3}}}}}},\"DetectorName\":\"Groq\",\"Verified\":false,\"Raw\":\"{groq}\"}}\n"
    );
    let scanned = imported(&trufflehog);
    let told: Vec<_> = scanned.rows.iter().map(|row| (row.key.as_str(), row.sure.as_str(), row.file.as_str(), row.line)).collect();
    assert_eq!(told, [("Custom", "proven", "x.py", Some(12)), ("groq", "shape", "y.py", Some(3))]);
    assert_eq!(scanned.rows[0].owner.as_deref(), Some("dev@example.com"));
    assert!(scanned.rows[0].age_days.is_some());
    assert_silent(&scanned, &[&groq, other]);
}

#[test]
fn a_report_in_sarif_is_read() {
    let groq = key("groq");
    let sarif = |tool: &str, snippet: &str| {
        imported(&format!(
            r#"{{"version":"2.1.0","runs":[{{"tool":{{"driver":{{"name":"{tool}"}}}},"results":[{{"ruleId":"a-rule","message":{{"text":"{snippet}"}},
            "locations":[{{"physicalLocation":{{"artifactLocation":{{"uri":"d/e.env"}},"region":{{"startLine":5,"startColumn":2,"snippet":{{"text":"{snippet}"}}}}}}}}],
            "partialFingerprints":{{"email":"dev@example.com","date":"2026-01-02T03:04:05Z"}}}}]}}]}}"#
        ))
    };
    let scanned = sarif("gitleaks", &groq);
    assert_eq!((told(&scanned), scanned.rows[0].found_by), (vec!["groq 5".to_owned()], "gitleaks"));
    assert_silent(&scanned, &[&groq]);
    let scanned = sarif("Another", &format!("let key = {groq};"));
    assert_eq!((told(&scanned), scanned.rows[0].found_by), (vec!["groq 5".to_owned()], "sarif"));
    assert_silent(&scanned, &[&groq]);
    let scanned = sarif("Another", "let key = load();");
    assert_eq!((told(&scanned), scanned.rows[0].fingerprint.as_ref()), (vec!["a-rule 5".to_owned()], None));
}

#[test]
fn what_is_no_report_is_refused_without_a_word_of_it() {
    let groq = key("groq");
    for text in [format!("{{\"a\": \"{groq}\"}}"), format!("[\"{groq}\"]"), format!("GROQ={groq}"), format!("[{{\"RuleID\": \"{groq}")] {
        let folder = folder(&[("report", text.as_bytes())]);
        let imports = [folder.path().join("report")];
        let fingerprints = Fingerprints::fresh();
        let asked = Asked {
            paths: &[],
            imports: &imports,
            policy: None,
            values: BTreeMap::new(),
            fingerprints: &fingerprints,
            archive_bytes_max: 1,
            now: Timestamp::now(),
        };
        let why = run(asked).unwrap_err();
        assert!(why.contains("is no report of gitleaks") && !why.contains(&groq[8..20]), "{why}");
    }
    assert_eq!(imported("null\n").rows.len(), 0);
    assert_eq!(imported("[]").rows.len(), 0);
}

#[test]
fn a_key_that_both_found_is_told_once() {
    let groq = key("groq");
    let folder = folder(&[
        ("app/a.env", groq.as_bytes()),
        ("report.json", format!(r#"[{{"RuleID":"groq-key","StartLine":1,"Secret":"{groq}","File":"app/a.env"}}]"#).as_bytes()),
    ]);
    let scanned = scan_with(&[folder.path().join("app")], &[folder.path().join("report.json")], None, 1);
    assert_eq!((scanned.rows.len(), scanned.rows[0].found_by), (1, "keygress"));
}
