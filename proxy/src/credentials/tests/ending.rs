use std::sync::atomic::{AtomicBool, Ordering};

use super::issuer::Behaviour;
use super::*;

fn ended(revoked: usize, dropped: usize, failed: usize) -> Ended {
    Ended { revoked, dropped, failed }
}

#[tokio::test]
async fn a_task_that_ends_has_its_leases_revoked_and_others_keep_theirs() {
    let world = World::new().await;
    let credential = world.revocable();
    let slot = world.credentials.slot(&credential, task("ends"));
    let other = world.credentials.slot(&credential, task("stays"));
    slot.wait().await.unwrap();
    other.wait().await.unwrap();
    assert_eq!(world.credentials.end_task("ends").await, ended(1, 0, 0));
    assert_eq!(world.issuer.alive().into_iter().collect::<Vec<_>>(), ["canary-token-2"]);
    assert!(other.ready().is_some());
    assert_eq!(world.records(), ["issued", "issued", "revoked"]);
}

#[tokio::test]
async fn nothing_is_served_from_the_moment_of_the_call() {
    let world = World::new().await;
    let credential = world.revocable();
    let slot = world.credentials.slot(&credential, task("t"));
    slot.wait().await.unwrap();
    let ending = world.credentials.end_task("t");
    assert!(slot.ready().is_none());
    let why = "credential `api` is not available: its task has ended";
    assert_eq!(slot.wait().await.unwrap_err(), Unavailable { reason: why.into(), retry_after: None });
    assert_eq!(world.credentials.slot(&credential, task("t")).wait().await.unwrap_err().reason, why);
    ending.await;
    assert_eq!(world.issuer.token_calls(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_is_served_after_the_call_however_many_ask_at_that_moment() {
    let world = World::new().await;
    let credential = world.revocable();
    for round in 0..50 {
        let name = format!("task-{round}");
        let slot = world.credentials.slot(&credential, task(&name));
        let is_over = Arc::new(AtomicBool::new(false));
        let mut asking = tokio::task::JoinSet::new();
        for _ in 0..8 {
            let (slot, is_over) = (Arc::clone(&slot), Arc::clone(&is_over));
            asking.spawn(async move {
                loop {
                    let was_over = is_over.load(Ordering::SeqCst);
                    let answer = slot.wait().await;
                    if was_over {
                        return answer.is_err();
                    }
                    tokio::task::yield_now().await;
                }
            });
        }
        // In half of the rounds the end meets the first fetch, in the others a value in use.
        if round % 2 == 0 {
            slot.wait().await.unwrap();
        }
        let ending = world.credentials.end_task(&name);
        is_over.store(true, Ordering::SeqCst);
        assert!(asking.join_all().await.into_iter().all(|refused| refused), "round {round}");
        ending.await;
        assert_eq!(world.issuer.alive().len(), 0, "round {round}");
    }
}

#[tokio::test]
async fn leases_are_revoked_also_if_nobody_awaits_it() {
    let world = World::new().await;
    let slot = world.credentials.slot(&world.revocable(), task("t"));
    slot.wait().await.unwrap();
    drop(world.credentials.end_task("t"));
    world.issuer.until_revocation_calls(1).await;
}

#[tokio::test]
async fn what_a_fetch_brings_after_the_end_is_revoked_at_once() {
    let world = World::new().await;
    let slot = world.credentials.slot(&world.revocable(), task("t"));
    slot.begin();
    // The call has reached the issuer or not: either way nothing of it may stay.
    let ended = world.credentials.end_task("t").await;
    assert_eq!(ended, Ended { revoked: world.issuer.token_calls(), ..Ended::default() });
    assert_eq!(world.issuer.alive().len(), 0);
    assert!(slot.ready().is_none());
}

#[tokio::test]
async fn a_program_under_way_is_ended_with_its_task() {
    let world = World::new().await;
    let begun = Instant::now();
    let slot = world.credentials.slot(&credential("slow", "exec: { command: [sleep, \"60\"], timeout: 60s }"), task("t"));
    let waiting = tokio::spawn({
        let slot = Arc::clone(&slot);
        async move { slot.wait().await }
    });
    slot.begin();
    assert_eq!(world.credentials.end_task("t").await, Ended::default());
    assert_eq!(waiting.await.unwrap().unwrap_err().reason, "credential `slow` is not available: its task has ended");
    assert!(begun.elapsed() < Duration::from_secs(4));
    assert_eq!(world.records(), Vec::<String>::new());
}

#[tokio::test]
async fn a_lease_that_the_issuer_cannot_revoke_is_dropped() {
    let world = World::new().await;
    let slot = world.credentials.slot(&credential("api", &world.oauth("")), task("t"));
    slot.wait().await.unwrap();
    assert_eq!(world.credentials.end_task("t").await, ended(0, 1, 0));
    assert_eq!(world.records(), ["issued", "revoked not_revocable"]);
}

#[tokio::test(start_paused = true)]
async fn a_revocation_that_fails_is_tried_three_times_then_told_and_tried_on() {
    let world = World::new().await;
    let slot = world.credentials.slot(&world.revocable(), task("t"));
    let _clock = stop_clock();
    slot.wait().await.unwrap();
    world.issuer.on_revocation(Behaviour::Answer(503, ""));
    let ending = tokio::spawn(world.credentials.end_task("t"));
    pass_time_until(|| world.issuer.revocation_calls() == 3).await;
    assert_eq!(ending.await.unwrap(), ended(0, 0, 1));
    assert_eq!(world.records(), ["issued", "revoke_failed"]);
    world.issuer.on_revocation(Behaviour::Issue(None));
    pass_time_until(|| world.issuer.revocation_calls() == 4).await;
    assert_eq!(world.issuer.alive().len(), 0);
}

#[tokio::test]
async fn the_end_of_the_process_ends_everything() {
    let world = World::new().await;
    world.write("key", "canary-static");
    let minted = world.revocable();
    let fixed = credential("key", &file_source(&world.path("key")));
    world.credentials.slot(&minted, task("a")).wait().await.unwrap();
    world.credentials.slot(&minted, Holder::Workload("w".into())).wait().await.unwrap();
    let slot = world.credentials.slot(&fixed, Holder::Shared);
    slot.wait().await.unwrap();
    assert_eq!(world.credentials.shut_down().await, ended(2, 1, 0));
    assert_eq!(world.issuer.alive().len(), 0);
    assert!(slot.ready().is_none());
    let late = world.credentials.slot(&fixed, Holder::Shared).wait().await.unwrap_err();
    assert_eq!(late.reason, "credential `key` is not available: keygress is stopping");
}

#[tokio::test(start_paused = true)]
async fn the_end_of_the_process_takes_no_longer_than_5_seconds() {
    let world = World::new().await;
    let _clock = stop_clock();
    world.credentials.slot(&world.revocable(), task("t")).wait().await.unwrap();
    world.issuer.on_revocation(Behaviour::Silence);
    let ending = tokio::spawn(world.credentials.shut_down());
    world.issuer.until_revocation_calls(1).await;
    tokio::time::advance(Duration::from_secs(5)).await;
    assert_eq!(ending.await.unwrap(), ended(0, 0, 1));
}

#[tokio::test]
async fn a_credential_that_did_not_change_keeps_its_value_under_a_new_policy() {
    let world = World::new().await;
    let before = world.revocable();
    world.credentials.adopt_all(vec![Arc::clone(&before)]).await;
    let first = world.credentials.slot(&before, task("t")).wait().await.unwrap();
    let after = world.revocable();
    world.credentials.adopt_all(vec![Arc::clone(&after)]).await;
    assert!(Arc::ptr_eq(&world.credentials.slot(&after, task("t")).ready().unwrap(), &first));
    assert!(Arc::ptr_eq(&world.credentials.slot(&before, task("t")).ready().unwrap(), &first));
}

#[tokio::test]
async fn a_credential_that_changed_or_left_is_revoked_and_late_requests_get_nothing_of_it() {
    let world = World::new().await;
    let before = world.revocable();
    world.credentials.adopt_all(vec![Arc::clone(&before)]).await;
    let slot = world.credentials.slot(&before, task("t"));
    slot.wait().await.unwrap();
    let changed = credential("api", &world.oauth(", scope: [read]"));
    world.credentials.adopt_all(vec![Arc::clone(&changed)]).await;
    assert!(slot.ready().is_none());
    world.issuer.until_revocation_calls(1).await;
    let late = world.credentials.slot(&before, task("t")).wait().await.unwrap_err();
    assert_eq!(late.reason, "credential `api` is not available: it is no longer in the policy in this form");
    let fresh = world.credentials.slot(&changed, task("t")).wait().await.unwrap();
    assert_eq!(token(&fresh), "canary-token-2");
    world.credentials.adopt_all(Vec::new()).await;
    assert!(world.credentials.slot(&changed, task("t")).ready().is_none());
}

#[tokio::test]
async fn slots_that_hold_nothing_are_forgotten() {
    let world = World::new().await;
    let credential = world.revocable();
    let kept = world.credentials.slot(&credential, task("kept"));
    kept.wait().await.unwrap();
    drop(kept);
    for number in 0..1000 {
        let _ = world.credentials.slot(&credential, task(&format!("task-{number}")));
    }
    assert!(world.credentials.slots_held() <= 64, "{}", world.credentials.slots_held());
    assert_eq!(world.credentials.end_task("kept").await, ended(1, 0, 0));
}

#[tokio::test]
async fn a_policy_that_comes_into_force_late_ends_nothing_of_the_next_one() {
    let world = World::new().await;
    let next = credential("api", &world.oauth(", scope: [read]"));
    let slot = world.credentials.slot(&next, task("t"));
    slot.wait().await.unwrap();
    world.credentials.adopt_all(vec![world.revocable()]).await;
    assert!(slot.ready().is_some());
    world.credentials.adopt_all(vec![Arc::clone(&next)]).await;
    assert!(Arc::ptr_eq(&slot, &world.credentials.slot(&next, task("t"))));
    assert!(slot.ready().is_some());
}

#[tokio::test]
async fn a_policy_that_never_came_into_force_keeps_its_leases_for_one_more_at_most() {
    let world = World::new().await;
    let skipped = credential("api", &world.oauth(", scope: [read]"));
    let slot = world.credentials.slot(&skipped, task("t"));
    slot.wait().await.unwrap();
    world.credentials.adopt_all(vec![world.revocable()]).await;
    world.credentials.adopt_all(vec![world.revocable()]).await;
    assert!(slot.ready().is_none());
    assert!(world.credentials.slot(&skipped, task("t")).wait().await.is_err());
}
