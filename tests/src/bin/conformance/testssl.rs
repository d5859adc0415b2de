use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use keygress_tests::attack::ground::Ground;
use keygress_tests::tools;
use serde_json::Value;

use super::{captured, command};

/// Findings that are accepted, each with the reason.
const JUDGED: &[(&str, &str)] = &[
    ("cipher_order", "every suite that is offered is an AEAD with forward secrecy: the client knows best which one it is quick at"),
    ("cert_expirationStatus", "a leaf lives a day at most, and another is minted then"),
    ("cert_notAfter", "the same"),
    ("cert_revocation", "a leaf lives a day, its authority as long as the process: there is nothing to revoke for longer"),
    ("HTTP_status_code", "the scanner leaves the port out of Host: another destination than that of the connection, so 421"),
    ("HSTS", "for browsers, and for the upstream to say: what it says is passed on"),
    ("security_headers", "the same"),
    ("secure_renego", "the TLS library knows no renegotiation, which the scanner takes for a handshake that failed"),
];

/// What it finds about itself, on some machines.
const OWN: [&str; 1] = ["engine_problem"];

/// What it finds to be no fault.
const SOUND: [&str; 2] = ["OK", "INFO"];

/// Every finding is sound, or judged.
pub(super) fn run() -> Result<String> {
    let testssl = tools::program("testssl")?;
    let ground = Ground::new()?;
    let ca = ground.site.write("trusted-ca.pem", &ground.target.ca_pem)?;
    let findings = ground.site.folder().join("findings.json");
    let mut testssl = command(&ground, testssl, captured(&ground)?)?;
    testssl.args(["--quiet", "--color", "0", "--warnings", "off", "--nodns", "none", "--add-ca"]).arg(ca).arg("--jsonfile").arg(&findings);
    testssl.arg("--ip").arg(captured(&ground)?.to_string()).arg(ground.target.authority());
    let output = testssl.output()?;
    let text = std::fs::read_to_string(&findings).with_context(|| String::from_utf8_lossy(&output.stdout).into_owned())?;
    let findings: Vec<Value> = serde_json::from_str(&text)?;
    let said = |finding: &Value, name: &str| finding.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    let mut unjudged = Vec::new();
    for finding in &findings {
        let (id, severity) = (said(finding, "id"), said(finding, "severity"));
        let is_own = OWN.contains(&id.as_str());
        if !is_own && !SOUND.contains(&severity.as_str()) && !JUDGED.iter().any(|(known, _)| *known == id) {
            unjudged.push(format!("{severity} {id}: {}", said(finding, "finding")));
        }
        let count = counts.entry(severity).or_default();
        *count = count.saturating_add(1);
    }
    ensure!(unjudged.is_empty(), "{}", unjudged.join("\n"));
    let gone = JUDGED.iter().find(|(id, _)| !findings.iter().any(|finding| said(finding, "id") == *id));
    ensure!(gone.is_none(), "{gone:?} is judged, and is found no more");
    ensure!(findings.len() > 100, "it ended early: {text}");
    ground.left()?;
    Ok(format!("{counts:?}, of which {} are judged", JUDGED.len()))
}
