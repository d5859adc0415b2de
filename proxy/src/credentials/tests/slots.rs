use super::issuer::Behaviour;
use super::*;

#[tokio::test]
async fn a_thousand_cold_requests_make_one_token_call() {
    let world = World::new().await;
    let slot = world.credentials.slot(&credential("api", &world.oauth("")), task("t"));
    let mut waiting = tokio::task::JoinSet::new();
    for _ in 0..1000 {
        let slot = Arc::clone(&slot);
        waiting.spawn(async move { token(&slot.wait().await.unwrap()) });
    }
    assert!(waiting.join_all().await.iter().all(|token| token == "canary-token-1"));
    assert_eq!(world.issuer.token_calls(), 1);
    assert_eq!(world.records(), ["issued"]);
}

#[tokio::test]
async fn a_ready_value_is_served_without_another_call() {
    let world = World::new().await;
    let slot = world.credentials.slot(&credential("api", &world.oauth("")), task("t"));
    assert!(slot.ready().is_none());
    let first = slot.wait().await.unwrap();
    assert!(Arc::ptr_eq(&slot.ready().unwrap(), &first));
    assert!(Arc::ptr_eq(&slot.wait().await.unwrap(), &first));
}

#[tokio::test]
async fn the_record_of_an_issue_says_what_for_whom_and_how_long() {
    let world = World::new().await;
    let ready = world.credentials.slot(&credential("api", &world.oauth("")), task("t")).wait().await.unwrap();
    let line = world.records.lock().unwrap().try_recv().unwrap();
    let ours = &serde_json::from_str::<serde_json::Value>(&line).unwrap()["keygress"];
    assert_eq!((ours["credential"].as_str(), ours["task"].as_str(), ours["expires_in"].as_u64()), (Some("api"), Some("t"), Some(3600)));
    assert_eq!((ours["lease"].as_str(), ours["fingerprint"].as_str()), (Some(&*ready.lease), Some(&*ready.fingerprint)));
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_longer_than_5_seconds() {
    let world = World::new().await;
    let slow = credential("slow", "exec: { command: [sleep, \"1000\"], timeout: 60s }");
    let begun = tokio::time::Instant::now();
    let unavailable = world.credentials.slot(&slow, task("t")).wait().await.unwrap_err();
    assert_eq!(unavailable.reason, "credential `slow` is not available: its provider did not answer within 5 s");
    assert!((Duration::from_secs(5)..Duration::from_millis(5100)).contains(&begun.elapsed()), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn holders_share_no_value() {
    let world = World::new().await;
    let credential = credential("api", &world.oauth(""));
    for (holder, expected) in [(task("a"), 1), (task("b"), 2), (Holder::Workload("a".into()), 3)] {
        let slot = world.credentials.slot(&credential, holder.clone());
        assert_eq!(token(&slot.wait().await.unwrap()), format!("canary-token-{expected}"));
        assert!(Arc::ptr_eq(&slot, &world.credentials.slot(&credential, holder)));
    }
}

#[tokio::test]
async fn a_value_is_not_ready_unless_its_issue_is_on_record() {
    let world = World::new().await;
    world.audit.close();
    let slot = world.credentials.slot(&world.revocable(), task("t"));
    let unavailable = slot.wait().await.unwrap_err();
    assert_eq!(unavailable.reason, "credential `api` is not available: the audit cannot record that it was issued");
    assert!(slot.ready().is_none());
    assert_eq!((world.issuer.token_calls(), world.issuer.alive().len()), (1, 0));
}

#[tokio::test]
async fn a_failure_is_told_at_once_to_whoever_comes_while_the_provider_rests() {
    let world = World::new().await;
    world.issuer.on_token(Behaviour::Answer(500, "canary"));
    let slot = world.credentials.slot(&credential("api", &world.oauth("")), task("t"));
    for _ in 0..3 {
        let unavailable = slot.wait().await.unwrap_err();
        assert_eq!(unavailable.reason, "credential `api` is not available: the token endpoint answered 500");
        assert_eq!(unavailable.retry_after, Some(1));
    }
    assert_eq!(world.issuer.token_calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn after_three_failures_one_request_probes_and_the_others_do_not_wait() {
    let world = World::new().await;
    let _clock = stop_clock();
    world.issuer.on_token(Behaviour::Answer(500, ""));
    let slot = world.credentials.slot(&credential("api", &world.oauth("")), task("t"));
    for calls in 1..=3 {
        slot.wait().await.unwrap_err();
        assert_eq!(world.issuer.token_calls(), calls);
        tokio::time::advance(Duration::from_secs(3)).await;
    }
    world.issuer.on_token(Behaviour::Silence);
    let probe = tokio::spawn({
        let slot = Arc::clone(&slot);
        async move { slot.wait().await }
    });
    world.issuer.until_token_calls(4).await;
    let others = slot.wait().await.unwrap_err();
    assert_eq!(others.reason, "credential `api` is not available: the token endpoint answered 500");
    tokio::time::advance(Duration::from_secs(5)).await;
    assert!(probe.await.unwrap().is_err());
    assert_eq!(world.issuer.token_calls(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_used_value_is_renewed_before_it_expires_and_the_old_one_serves_meanwhile() {
    let world = World::new().await;
    let _clock = stop_clock();
    let slot = world.credentials.slot(&credential("api", &world.oauth("")), task("t"));
    assert_eq!(token(&slot.wait().await.unwrap()), "canary-token-1");
    tokio::time::advance(Duration::from_secs(3600 * 9 / 100)).await;
    assert_eq!(world.issuer.token_calls(), 1);
    world.issuer.on_token(Behaviour::Answer(503, ""));
    // The first of a process is renewed at a random moment, at 85 % of its life at the latest.
    tokio::time::advance(Duration::from_secs(3600 * 76 / 100)).await;
    world.issuer.until_token_calls(2).await;
    assert_eq!(token(&slot.ready().unwrap()), "canary-token-1");
    world.issuer.on_token(Behaviour::Issue(Some(3600)));
    pass_time_until(|| world.issuer.token_calls() == 3).await;
    // The value is ready once its record is durable: in real time, which no event here tells of.
    while token(&slot.ready().unwrap()) != "canary-token-3" {
        tokio::task::yield_now().await;
    }
    assert_eq!(world.records(), ["issued", "issued"]);
    // The next one in time: from 80 % on.
    tokio::time::advance(Duration::from_secs(3600 * 79 / 100)).await;
    assert_eq!(world.issuer.token_calls(), 3);
    tokio::time::advance(Duration::from_secs(3600 * 6 / 100)).await;
    world.issuer.until_token_calls(4).await;
}

#[tokio::test(start_paused = true)]
async fn a_value_that_nobody_used_is_not_renewed_and_ends_on_record() {
    let world = World::new().await;
    let clock = stop_clock();
    let credential = credential("api", &world.oauth(""));
    let slot = world.credentials.slot(&credential, task("t"));
    slot.begin();
    slot.settled().await;
    assert_eq!(world.records(), ["issued"]);
    drop(clock);
    tokio::time::sleep(Duration::from_secs(3601)).await;
    assert!(slot.ready().is_none());
    assert_eq!(world.issuer.token_calls(), 1);
    world.audit.close();
    assert_eq!(world.records(), ["expired"]);
}

#[tokio::test(start_paused = true)]
async fn an_expired_value_is_never_served() {
    let world = World::new().await;
    let _clock = stop_clock();
    let slot = world.credentials.slot(&credential("api", &world.oauth("")), task("t"));
    let ready = slot.wait().await.unwrap();
    world.issuer.on_token(Behaviour::Answer(503, ""));
    tokio::time::advance(Duration::from_secs(3594)).await;
    assert!(slot.ready().is_some());
    tokio::time::advance(Duration::from_secs(1)).await;
    assert!(slot.ready().is_none());
    assert!(tokio::time::Instant::now().into_std() >= ready.expires.unwrap());
    let unavailable = slot.wait().await.unwrap_err();
    assert_eq!(unavailable.reason, "credential `api` is not available: the token endpoint answered 503");
    assert!(unavailable.retry_after.is_some());
}

#[tokio::test]
async fn a_refused_value_is_dropped_once_and_a_newer_one_stays() {
    let world = World::new().await;
    let slot = world.credentials.slot(&world.revocable(), task("t"));
    let first = slot.wait().await.unwrap();
    slot.invalidate(&first);
    let second = slot.wait().await.unwrap();
    assert_eq!(token(&second), "canary-token-2");
    slot.invalidate(&first);
    assert!(Arc::ptr_eq(&slot.ready().unwrap(), &second));
    world.issuer.until_revocation_calls(1).await;
    assert_eq!(world.issuer.alive().into_iter().collect::<Vec<_>>(), ["canary-token-2"]);
}

#[tokio::test(start_paused = true)]
async fn an_upstream_that_always_answers_401_does_not_flood_the_issuer() {
    let world = World::new().await;
    let _clock = stop_clock();
    let slot = world.credentials.slot(&credential("api", &world.oauth("")), task("t"));
    for _ in 0..100 {
        slot.invalidate(&slot.wait().await.unwrap());
    }
    assert_eq!(world.issuer.token_calls(), 2);
    tokio::time::advance(Duration::from_secs(10)).await;
    slot.invalidate(&slot.ready().unwrap());
    slot.wait().await.unwrap();
    assert_eq!(world.issuer.token_calls(), 3);
}

#[tokio::test]
async fn nothing_secret_is_in_what_is_printed() {
    let world = World::new().await;
    let credential = world.revocable();
    let slot = world.credentials.slot(&credential, task("t"));
    let ready = slot.wait().await.unwrap();
    let printed = format!("{slot:?} {ready:?} {credential:?}");
    assert!(!printed.contains("canary"), "{printed}");
    let metrics = world.metrics.expose();
    assert!(metrics.contains("oauth2_client_credentials") && !metrics.contains("canary"), "{metrics}");
}
