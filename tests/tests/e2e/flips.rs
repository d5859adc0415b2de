//! The policy is replaced a thousand times while callers of every kind use it: nothing breaks, and nobody gets what the policy of their
//! request does not say.

use std::collections::{BTreeMap, BTreeSet};
use std::process::{Child, Command, Stdio};

use keygress_tests::client::Kept;
use keygress_tests::proxy::Proxy;
use keygress_tests::servers::echo::Echo;
use keygress_tests::site::{Site, canary};
use keygress_tests::tools;
use serde_json::Value;

use crate::world::{World, policy, rule};

/// How often the policy is replaced.
const FLIPS: usize = 1_000;

/// How many requests each caller sends meanwhile, at least.
const REQUESTS: usize = 1_000;

/// The usual world, with a second upstream that is passed by its name alone.
struct Flipping {
    world: World,
    blind: Echo,
    site_of_blind: Site,
}

impl Flipping {
    fn new() -> Self {
        let (site, site_of_blind) = (Site::new().unwrap(), Site::new().unwrap());
        let (echo, blind) = (Echo::start(&site, "echo.test").unwrap(), Echo::start(&site_of_blind, "blind.test").unwrap());
        let key = canary().unwrap();
        let proxy = Proxy::start(&site, &flipped(&site, &key, [echo.port, blind.port], true)).unwrap();
        Self { world: World { echo, key, proxy, site }, blind, site_of_blind }
    }

    fn flip(&self, allows: bool) {
        let text = flipped(&self.world.site, &self.world.key, [self.world.echo.port, self.blind.port], allows);
        self.world.proxy.reload(&text).unwrap();
    }
}

/// The policy with the rule that comes and goes, or without. How many rules it has tells the two apart on record.
fn flipped(site: &Site, key: &str, [echo, blind]: [u16; 2], allows: bool) -> String {
    let always = rule(echo).replace("GET /hello, GET /hello/**, ", "").replace("  echo:", "  always:");
    let always = always.replace("    except: [GET /hello/but/not/this]\n", "");
    let sometimes = format!(
        "  sometimes: {{ from: any, to: 'https://echo.test:{echo}', allow_ips: [127.0.0.0/8], allow: [GET /hello/**], credential: key }}\n"
    );
    let blind = format!("  blind: {{ to: 'https://blind.test:{blind}', allow_ips: [127.0.0.0/8] }}\n");
    policy(site, key, &format!("{always}{}{blind}", if allows { sometimes.as_str() } else { "" }))
}

/// One curl that asks for one URL after another over one connection, and prints status, number of new connections and URL of each.
fn asking(mut command: Command, arguments: &[&str], url: &str) -> Child {
    command.args(["--silent", "--show-error", "--max-time", "60", "--output", "/dev/null"]);
    command.args(["--write-out", "%{http_code} %{num_connects} %{url}\\n"]).args(arguments).arg(url);
    command.stdout(Stdio::piped()).spawn().unwrap()
}

/// What a curl printed: the path of each URL and its status. It must have connected once.
fn answered(child: Child) -> BTreeMap<String, u16> {
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<Vec<&str>> = text.lines().map(|line| line.splitn(3, ' ').collect()).collect();
    let connects: usize = lines.iter().map(|line| line[1].parse::<usize>().unwrap()).sum();
    assert_eq!(connects, 1, "a connection was closed: {text}");
    lines.iter().map(|line| (line[2].rsplit_once("/hello/").map_or("", |(_, name)| name).to_owned(), line[0].parse().unwrap())).collect()
}

/// The requests below `/hello/` as they are on record: name, generation of the policy, status.
fn on_record(records: &[Value]) -> BTreeMap<String, (u64, u64)> {
    let requests = records.iter().filter_map(|record| {
        let path = record["http_request"]["url"]["path"].as_str()?;
        let name = path.strip_prefix("/hello/")?.to_owned();
        Some((name, (record["keygress"]["generation"].as_u64()?, record["status_code"].as_u64()?)))
    });
    requests.collect()
}

/// The generations whose policy has the rule.
fn allowing(records: &[Value]) -> BTreeSet<u64> {
    let loaded = records.iter().filter(|record| record["activity"] == "policy_loaded");
    let with_rule = loaded.filter(|record| record["message"].as_str().is_some_and(|message| message.starts_with("3 rules")));
    with_rule.filter_map(|record| record["keygress"]["generation"].as_u64()).collect()
}

#[test]
fn a_thousand_reloads_break_nothing_and_no_answer_contradicts_its_policy() {
    let flipping = Flipping::new();
    let Flipping { world, blind, site_of_blind } = &flipping;
    // One stream for the whole time, and one connection of every kind.
    let mut stream = world.curl_command();
    let stream = stream.args(["--no-buffer", "--max-time", "60", &world.url("/events")]).stdout(Stdio::piped()).spawn().unwrap();
    assert!(world.echo.await_target("/events"));
    let numbered = |kind: &str| format!("/hello/{kind}-[1-{REQUESTS}]");
    let mut plain = keygress_tests::client::bare(tools::program("curl").unwrap());
    plain.arg("--noproxy").arg("*");
    let route = format!("http://{}/echo.test{}", world.proxy.address(), numbered("route"));
    let callers = [
        asking(plain, &[], &route),
        asking(world.curl_command(), &["--http1.1"], &world.url(&numbered("one"))),
        asking(world.curl_command(), &["--http2"], &world.url(&numbered("two"))),
    ];
    let mut through = world.proxy.client(tools::program("curl").unwrap());
    through.arg("--cacert").arg(site_of_blind.upstream_ca());
    let tunnel = asking(through, &[], &format!("https://blind.test:{}{}", blind.port, numbered("blind")));

    for flip in 0..FLIPS {
        flipping.flip(flip % 2 == 1);
    }

    let tunnelled = answered(tunnel);
    assert_eq!((tunnelled.len(), tunnelled.values().filter(|status| **status == 200).count()), (REQUESTS, REQUESTS));
    let mut seen = BTreeMap::new();
    callers.into_iter().for_each(|caller| seen.extend(answered(caller)));
    assert_eq!(seen.len(), 3 * REQUESTS);
    let kept = Kept::open(world.proxy.address(), "echo.test");
    assert_eq!(kept.post("/next"), 200);
    let streamed = stream.wait_with_output().unwrap();
    assert!(streamed.status.success() && String::from_utf8_lossy(&streamed.stdout).ends_with("data: second\n\n"), "{streamed:?}");

    let complete = world.proxy.records_once(|records| on_record(records).len() == seen.len());
    let found = on_record(&world.proxy.records().unwrap());
    let missing: Vec<_> = seen.iter().filter(|(name, _)| !found.contains_key(*name)).take(20).collect();
    assert!(complete, "not on record: {missing:?} of {} and {}", seen.len(), found.len());
    let records = world.proxy.records().unwrap();
    let (recorded, allowing) = (on_record(&records), allowing(&records));
    for (name, status) in &seen {
        let (generation, recorded) = recorded[name];
        let expected = if allowing.contains(&generation) { 200 } else { 403 };
        assert_eq!((u64::from(*status), recorded), (expected, expected), "{name} under generation {generation}");
    }
    let arrived = world.echo.seen().iter().filter(|one| one.target.starts_with("/hello/")).count();
    assert_eq!(arrived, seen.values().filter(|status| **status == 200).count(), "what was refused was not sent");
    let both = seen.values().collect::<BTreeSet<_>>();
    assert_eq!(both.len(), 2, "the flips were seen");
}

#[test]
fn the_next_request_after_a_reload_is_decided_by_it() {
    let flipping = Flipping::new();
    let world = &flipping.world;
    let kept = Kept::open(world.proxy.address(), "echo.test");
    for flip in 0..100 {
        flipping.flip(flip % 2 == 1);
        assert_eq!(kept.get("/hello/you"), if flip % 2 == 1 { 200 } else { 403 }, "flip {flip}");
    }
    assert_eq!(world.echo.seen().len(), 50);
}
