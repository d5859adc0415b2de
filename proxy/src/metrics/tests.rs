use super::*;

#[test]
fn what_happened_is_exposed() {
    let metrics = Metrics::new();
    metrics.request(Outcome::Injected, None);
    metrics.request(Outcome::Denied, Some("no_rule"));
    metrics.request(Outcome::Denied, Some("no_rule"));
    metrics.connection(1);
    metrics.connection(1);
    metrics.connection(-1);
    metrics.mint("oauth2", true, Duration::from_millis(30));
    metrics.mint("oauth2", false, Duration::from_secs(1));
    metrics.scrubbed("stripe", false);
    metrics.revocation(true);
    metrics.policy(true, 1);
    metrics.policy(false, 1);
    metrics.audit(3, 2);
    metrics.alert(Detector::Probing);
    metrics.unwatched(4);
    metrics.carried(Duration::from_micros(70), Duration::from_millis(40));
    metrics.standing(&Standing { leases: 3, missing: 1, audit_takes: true, ends: vec![("stripe".into(), 1_800_000_000)] });
    let text = metrics.expose();
    for line in [
        r#"keygress_requests_total{code="",outcome="injected"} 1"#,
        r#"keygress_requests_total{code="",outcome="passed"} 0"#,
        r#"keygress_requests_total{code="no_rule",outcome="denied"} 2"#,
        "keygress_connections 1",
        r#"keygress_mints_total{provider="oauth2",result="ok"} 1"#,
        r#"keygress_mints_total{provider="oauth2",result="failed"} 1"#,
        r#"keygress_scrubs_total{credential="stripe",result="masked"} 1"#,
        r#"keygress_revocations_total{result="ok"} 1"#,
        r#"keygress_revocations_total{result="failed"} 0"#,
        "keygress_policy_generation 1",
        r#"keygress_policy_loads_total{result="ok"} 1"#,
        r#"keygress_policy_loads_total{result="failed"} 1"#,
        "keygress_policy_last_load_failed 1",
        r#"keygress_alerts_total{detector="probing"} 1"#,
        r#"keygress_alerts_total{detector="misplaced"} 0"#,
        "keygress_detect_lost_total 4",
        "keygress_audit_records_total 3",
        "keygress_audit_lost_total 2",
        "# TYPE keygress_connections gauge",
        r#"keygress_request_overhead_seconds_bucket{le="0.00005"} 0"#,
        r#"keygress_request_overhead_seconds_bucket{le="0.0001"} 1"#,
        r#"keygress_upstream_duration_seconds_bucket{le="0.025"} 0"#,
        r#"keygress_upstream_duration_seconds_bucket{le="0.05"} 1"#,
        r#"keygress_mint_duration_seconds_count{provider="oauth2"} 2"#,
        "keygress_leases 3",
        "keygress_credentials_missing 1",
        "keygress_audit_healthy 1",
        r#"keygress_static_credential_expiry_timestamp_seconds{credential="stripe"} 1800000000"#,
    ] {
        assert!(text.lines().any(|l| l == line), "no `{line}` in\n{text}");
    }
}

#[test]
fn every_metric_has_a_help_text() {
    let text = Metrics::new().expose();
    for line in text.lines().filter_map(|line| line.strip_prefix("# HELP ")) {
        assert!(line.split_once(' ').is_some_and(|(_, help)| help.ends_with('.')), "{line}");
    }
}

#[test]
fn a_good_load_clears_the_failure() {
    let metrics = Metrics::new();
    metrics.policy(false, 1);
    metrics.policy(true, 2);
    assert!(metrics.expose().contains("keygress_policy_last_load_failed 0\n"));
}

#[test]
fn credentials_are_bounded() {
    let metrics = Metrics::new();
    (0..CREDENTIALS_MAX + 5).for_each(|n| metrics.scrubbed(&format!("c{n}"), false));
    assert!(metrics.expose().contains(r#"keygress_scrubs_total{credential="other",result="masked"} 5"#));
}

#[test]
fn codes_are_bounded() {
    let metrics = Metrics::new();
    let codes: Vec<&'static str> = (0..CODES_MAX * 2).map(|n| &*format!("code_{n}").leak()).collect();
    for code in &codes {
        metrics.request(Outcome::Denied, Some(code));
    }
    let text = metrics.expose();
    let series = text.lines().filter(|line| line.starts_with("keygress_requests_total{")).count();
    assert!(series <= CODES_MAX + 1, "{series} series");
    let others = codes.len() - (CODES_MAX - Outcome::ALL.len());
    assert!(text.contains(&format!("keygress_requests_total{{code=\"other\",outcome=\"denied\"}} {others}")), "{text}");
}

#[test]
fn what_has_left_the_policy_expires_no_more() {
    let metrics = Metrics::new();
    let standing = |names: &[&str]| Standing { ends: names.iter().map(|name| ((*name).into(), 7)).collect(), ..Standing::default() };
    metrics.standing(&standing(&["old", "kept"]));
    metrics.standing(&standing(&["kept"]));
    let text = metrics.expose();
    assert!(text.contains(r#"expiry_timestamp_seconds{credential="kept"} 7"#) && !text.contains("credential=\"old\""), "{text}");
    let many: Vec<_> = (0..CREDENTIALS_MAX + 5).map(|n| format!("c{n}")).collect();
    metrics.standing(&standing(&many.iter().map(String::as_str).collect::<Vec<_>>()));
    let series = metrics.expose().lines().filter(|line| line.starts_with("keygress_static_credential_expiry_timestamp_seconds{")).count();
    assert_eq!(series, CREDENTIALS_MAX);
}
