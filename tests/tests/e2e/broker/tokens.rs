use std::process::Command;

use keygress::config::{KeySet, TokenIssuer};
use keygress_tests::client::{bare, plain_curl};
use keygress_tests::servers::issuer::{self, Issuer};
use keygress_tests::signer::{Signer, now, service_account};
use keygress_tests::site::Site;
use keygress_tests::tools;
use serde_json::{Value, json};

use super::World;

const CLUSTER: &str = "https://kubernetes.default.svc";
const AUDIENCE: &str = "keygress-broker";

fn believed(issuer: &str, keys: KeySet, is_cluster: bool) -> TokenIssuer {
    TokenIssuer { issuer: issuer.into(), audience: AUDIENCE.into(), keys, is_cluster }
}

/// curl that takes the broker for a proxy over TLS, without a certificate.
fn curl(world: &World, arguments: &[&str]) -> Command {
    let mut curl: Command = bare(tools::program("curl").unwrap());
    let port = world.broker.mutual().unwrap().port();
    let ca = world.site.folder().join("keygress-ca.pem");
    curl.args(["--silent", "--show-error", "--max-time", "60", "--resolve", &format!("broker.test:{port}:127.0.0.1")]);
    curl.args(["--proxy", &format!("https://broker.test:{port}"), "--proxy-cacert"]).arg(world.site.upstream_ca()).arg("--cacert").arg(ca);
    curl.args(arguments).arg(format!("https://echo.test:{}/hello", world.echo.port));
    curl
}

fn field(token: &str) -> String {
    format!("Proxy-Authorization: Bearer {token}")
}

/// The status of the answer to `CONNECT` where that is a refusal, else of the request inside.
fn status(world: &World, arguments: &[&str]) -> u16 {
    let mut curl = curl(world, arguments);
    curl.args(["--write-out", "\n%{http_connect} %{response_code}"]);
    let printed = curl.output().unwrap().stdout;
    let statuses =
        String::from_utf8(printed).unwrap().lines().last().unwrap().split(' ').map(|code| code.parse().unwrap()).collect::<Vec<u16>>();
    if statuses[0] == 200 { statuses[1] } else { statuses[0] }
}

/// Refused, and on record with this reason and this code.
fn refused(world: &World, arguments: &[&str], code: &str, why: &str) {
    assert_eq!(status(world, arguments), 403);
    let line = world.broker.await_record(why).unwrap();
    assert!(line.contains(&format!("\"code\":\"{code}\"")) && line.contains("\"activity\":\"denied\""), "{line}");
}

fn token_of(site: &Site, issuer: &Issuer) -> String {
    let answer = plain_curl(site, issuer::HOST, issuer.port)
        .unwrap()
        .args(["--user", &format!("basic:{}", issuer.basic_secret), "--data", "grant_type=client_credentials&resource=urn:keygress:broker"])
        .arg(issuer.url("/token"))
        .output()
        .unwrap();
    let answer: Value = serde_json::from_slice(&answer.stdout).unwrap();
    answer["access_token"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
}

#[test]
fn a_workload_is_proven_by_the_token_that_its_platform_gave_it() {
    let workloads = "  app: { jwt: { issuer: 'https://issuer.test', subject: basic, claims: { client_id: basic } } }";
    let (mut token, mut running) = (String::new(), None);
    let world = World::believing(workloads, "app", "", |site| {
        let issuer = Issuer::start(site, 600).unwrap();
        token = token_of(site, &issuer);
        let keys = KeySet::Url(issuer.url("/jwks"));
        running = Some(issuer);
        vec![believed("https://issuer.test", keys, false)]
    });
    let user = format!("jwt:{token}");
    for arguments in [["--proxy-header", &field(&token)].as_slice(), &["--proxy-user", &user, "--proxy-basic"]] {
        for version in ["--http1.1", "--http2"] {
            assert_eq!(status(&world, &[arguments, &[version]].concat()), 200, "{:?}", world.broker.records());
        }
    }
    world.injected(4);
    let line = world.broker.await_record("\"activity\":\"used\"").unwrap();
    assert!(line.contains("\"peer\":\"basic (https://issuer.test)\"") && line.contains("\"workload\":\"app\""), "{line}");
    assert!(!world.broker.records().unwrap().iter().any(|line| line.to_string().contains(&token)));

    // The same token without its signature.
    let unsigned = format!("{}.", token.rsplit_once('.').unwrap().0);
    refused(&world, &["--proxy-header", &field(&unsigned)], "peer_refused", "the token has a signature that does not verify");
    drop(running);
}

#[test]
fn a_service_account_token_proves_a_pod_at_the_broker() {
    let signer = Signer::new("k1").unwrap();
    let workloads = "  billing: { kubernetes: { namespace: payments, service_account: billing } }";
    let world = World::believing(workloads, "billing", "", |site| {
        let file = |name: &str, jwks: &str| KeySet::File(site.write(name, jwks).unwrap());
        let other = believed("https://other.test", file("other.json", &signer.jwks()), false);
        vec![believed(CLUSTER, file("jwks.json", &signer.jwks()), true), other]
    });
    let token = signer.sign(&service_account(CLUSTER, AUDIENCE)).unwrap();
    assert_eq!(status(&world, &["--proxy-header", &field(&token)]), 200);
    let line = world.broker.await_record("\"activity\":\"used\"").unwrap();
    assert!(line.contains("\"workload\":\"billing\""), "{line}");

    // Another issuer says that it is a cluster, too.
    let claimed = signer.sign(&service_account("https://other.test", AUDIENCE)).unwrap();
    refused(
        &world,
        &["--proxy-header", &field(&claimed)],
        "caller_not_allowed",
        "system:serviceaccount:payments:billing (https://other.test)",
    );
    world.injected(1);

    // The cluster has a new key.
    let next = Signer::new("k2").unwrap();
    world.site.write("jwks.json", &next.jwks()).unwrap();
    let token = next.sign(&service_account(CLUSTER, AUDIENCE)).unwrap();
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while status(&world, &["--proxy-header", &field(&token)]) != 200 {
        assert!(std::time::Instant::now() < deadline, "the new key is not in use");
        // What is waited for is a clock: keys are looked for once in five seconds.
        std::thread::sleep(std::time::Duration::from_millis(250));
    }
}

#[test]
fn a_token_that_proves_nothing_is_refused_in_words() {
    let signer = Signer::new("k1").unwrap();
    let workloads = "  billing: { kubernetes: { namespace: payments, service_account: billing } }";
    let world = World::believing(workloads, "billing", "", |site| {
        vec![believed(CLUSTER, KeySet::File(site.write("jwks.json", &signer.jwks()).unwrap()), true)]
    });
    let with = |key: &str, value: Value| {
        let mut claims = service_account(CLUSTER, AUDIENCE);
        claims[key] = value;
        signer.sign(&claims).unwrap()
    };
    let stranger = Signer::new("k1").unwrap().sign(&service_account(CLUSTER, AUDIENCE)).unwrap();
    for (token, why) in [
        (with("aud", json!(["https://kubernetes.default.svc"])), "the token is for another audience"),
        (with("exp", json!(now() - 120)), "the token has expired"),
        (with("nbf", json!(now() + 120)), "the token is not valid yet"),
        (with("iss", json!("https://other.test")), "the token comes from an issuer that is not believed here"),
        (with("sub", json!("system:serviceaccount:payments:admin")), "the token names two different accounts"),
        (stranger, "the token has a signature that does not verify"),
        ("no-token".to_owned(), "the token is not a JWT with an issuer"),
    ] {
        refused(&world, &["--proxy-header", &field(&token)], "peer_refused", why);
    }
    refused(&world, &[], "peer_refused", "the caller showed no client certificate, and no token");
    assert!(world.echo.seen().is_empty());
}
