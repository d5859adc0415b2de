use std::os::unix::fs::symlink;

use jiff::ToSpan;
use keygress_policy::compile::StaticTerms;

use super::*;

/// Waits until the slot serves this token.
async fn until_serves(slot: &Arc<Slot>, expected: &str) {
    let serves = async {
        while slot.ready().is_none_or(|ready| token(&ready) != expected) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), serves).await.unwrap();
}

#[tokio::test]
async fn a_static_credential_is_fetched_ahead_and_read_again_when_it_changes() {
    let world = World::new().await;
    world.write("key", "canary-1\n");
    let credential = credential("key", &file_source(&world.path("key")));
    world.credentials.adopt_all(vec![Arc::clone(&credential)]).await;
    assert_eq!(world.credentials.missing(), Vec::<String>::new());
    let slot = world.credentials.slot(&credential, Holder::Shared);
    let first = slot.ready().unwrap();
    assert_eq!((token(&first).as_str(), first.expires), ("canary-1", None));
    world.write("key", "canary-2\n");
    until_serves(&slot, "canary-2").await;
    assert_ne!(slot.ready().unwrap().fingerprint, first.fingerprint);
    world.audit.close();
    assert_eq!(world.records(), ["issued", "issued", "expired superseded"]);
}

#[tokio::test]
async fn the_swap_of_a_kubernetes_secret_is_seen() {
    let world = World::new().await;
    for (version, content) in [("..v1", "canary-1"), ("..v2", "canary-2")] {
        std::fs::create_dir(world.path(version)).unwrap();
        world.write(&format!("{version}/key"), content);
    }
    symlink("..v1", world.path("..data")).unwrap();
    symlink("..data/key", world.path("key")).unwrap();
    let slot = world.credentials.slot(&credential("key", &file_source(&world.path("key"))), Holder::Shared);
    slot.wait().await.unwrap();
    symlink("..v2", world.path("..data_tmp")).unwrap();
    std::fs::rename(world.path("..data_tmp"), world.path("..data")).unwrap();
    until_serves(&slot, "canary-2").await;
}

#[tokio::test]
async fn a_missing_file_is_told_and_found_as_soon_as_it_is_there() {
    let world = World::new().await;
    let credential = credential("key", &file_source(&world.path("key")));
    world.credentials.adopt_all(vec![Arc::clone(&credential)]).await;
    assert_eq!(world.credentials.missing(), ["key"]);
    let slot = world.credentials.slot(&credential, Holder::Shared);
    let unavailable = slot.wait().await.unwrap_err();
    let expected =
        format!("credential `key` is not available: the file `{}` cannot be read: it does not exist", world.path("key").display());
    assert_eq!(unavailable.reason, expected);
    world.write("key", "canary-1");
    until_serves(&slot, "canary-1").await;
    assert_eq!(world.credentials.missing(), Vec::<String>::new());
}

#[tokio::test]
async fn the_last_value_stays_while_the_file_cannot_be_read() {
    let world = World::new().await;
    world.write("key", "canary-1");
    let slot = world.credentials.slot(&credential("key", &file_source(&world.path("key"))), Holder::Shared);
    slot.wait().await.unwrap();
    world.write("key", "two\nlines");
    assert!(slot.fetch_again().await);
    assert_eq!(token(&slot.ready().unwrap()), "canary-1");
    world.write("key", "canary-3");
    until_serves(&slot, "canary-3").await;
}

#[tokio::test]
async fn a_refused_static_value_is_read_again() {
    let world = World::new().await;
    world.write("key", "canary-1");
    let slot = world.credentials.slot(&credential("key", &file_source(&world.path("key"))), Holder::Shared);
    let first = slot.wait().await.unwrap();
    slot.invalidate(&first);
    let second = slot.wait().await.unwrap();
    assert_eq!((token(&second).as_str(), &second.fingerprint), ("canary-1", &first.fingerprint));
    assert_ne!(second.lease, first.lease);
}

#[tokio::test]
async fn a_secret_with_a_line_break_inside_never_becomes_ready() {
    let world = World::new().await;
    world.write("key", "canary\r\nX-Injected: 1");
    let slot = world.credentials.slot(&credential("key", &file_source(&world.path("key"))), Holder::Shared);
    let reason = slot.wait().await.unwrap_err().reason;
    assert!(reason.ends_with("holds a line break: it must hold the secret alone, on one line") && !reason.contains("canary"), "{reason}");
}

fn until(credential: Arc<Credential>, expires: jiff::civil::Date) -> Arc<Credential> {
    let mut credential = Arc::try_unwrap(credential).unwrap();
    credential.static_terms = Some(StaticTerms { reason: "test".into(), expires });
    Arc::new(credential)
}

#[tokio::test]
async fn a_static_key_is_used_to_the_end_of_its_last_day_and_no_longer() {
    let world = World::new().await;
    world.write("key", "canary-1");
    let source = file_source(&world.path("key"));
    let today = jiff::Timestamp::now().to_zoned_datetime(jiff::tz::TimeZone::UTC).date();
    let last = world.credentials.slot(&until(credential("last", &source), today), Holder::Shared);
    let ready = last.wait().await.unwrap();
    let left = ready.expires.unwrap() - Instant::now();
    assert!(left <= Duration::from_secs(24 * 3600), "{left:?}");
    let yesterday = today.checked_sub(1.day()).unwrap();
    let over = world.credentials.slot(&until(credential("over", &source), yesterday), Holder::Shared);
    let expected = format!("its last day was {yesterday}: rotate the key, then write the new date under `static`");
    assert!(over.wait().await.unwrap_err().reason.ends_with(&expected));
}

#[tokio::test]
async fn a_file_holds_the_secret_access_key_of_an_access_key_id() {
    let world = World::new().await;
    world.write("aws", "canary/secret\n");
    let path = world.path("aws");
    let source = source_of(&format!("file: {{ path: {}, access_key_id: AKIA1 }}", path.display()));
    let tools = Tools::new(Arc::new(rustls::RootCertStore::empty()));
    let fetched = source.provider().fetch(&tools, &purpose()).await.unwrap();
    assert_eq!(keygress_policy::Source::yields(&source), fetched.material.kind());
    assert!(matches!(
        &fetched.material,
        Material::AwsKeys { access_key_id, secret_access_key, session_token: None } if access_key_id == "AKIA1" && secret_access_key.is(b"canary/secret")
    ));
    let both = source_of(&format!("file: {{ path: {}, access_key_id: AKIA1, user: ci }}", path.display()));
    assert!(both.provider().complaints()[0].0.contains("more than one of `user`, `access_key_id`"));
}

#[tokio::test]
async fn a_certificate_and_its_key_are_read_from_two_files_and_must_belong_together() {
    let world = World::new().await;
    let tools = Tools::new(Arc::new(rustls::RootCertStore::empty()));
    let made = |name: &str| {
        let key = rcgen::KeyPair::generate().unwrap();
        (rcgen::CertificateParams::new([name.to_owned()]).unwrap().self_signed(&key).unwrap().pem(), key.serialize_pem())
    };
    let ((certificate, key), (_, other)) = (made("one.test"), made("other.test"));
    world.write("tls.crt", &certificate);
    let source =
        source_of(&format!("file: {{ path: {}, certificate: {} }}", world.path("tls.key").display(), world.path("tls.crt").display()));
    world.write("tls.key", &key);
    let read = source.provider().fetch(&tools, &purpose()).await.unwrap().material;
    let rendered = Injection::compile(&serde_saphyr::from_str("mutual_tls").unwrap()).unwrap().render(&read).unwrap();
    assert!(identity::certified(rendered.certificate().unwrap()).is_ok());
    world.write("tls.key", &other);
    let read = source.provider().fetch(&tools, &purpose()).await.unwrap().material;
    let rendered = Injection::compile(&serde_saphyr::from_str("mutual_tls").unwrap()).unwrap().render(&read).unwrap();
    assert!(identity::certified(rendered.certificate().unwrap()).unwrap_err().contains("not that of the certificate"));
    world.write("tls.key", "no key");
    assert!(source.provider().fetch(&tools, &purpose()).await.unwrap_err().contains("holds no private key in PEM"));
}
