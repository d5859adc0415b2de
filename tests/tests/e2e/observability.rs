//! The metrics as Prometheus reads them; the rules and the dashboard of `examples/observability` over a real scrape.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use keygress_tests::client::{bare, output};
use keygress_tests::process::Process;
use keygress_tests::proxy::binary;
use keygress_tests::servers::echo::Echo;
use keygress_tests::site::{Site, canary};
use keygress_tests::tools;
use serde_json::Value;

use crate::ledger;

/// How long Prometheus may take to scrape twice.
const TIME_MAX: Duration = Duration::from_secs(60);

fn example(name: &str) -> PathBuf {
    tools::root().join("examples/observability").join(name)
}

fn promtool() -> Command {
    bare(tools::program("promtool").unwrap())
}

/// A keygress that has done some of everything, and its metrics address.
fn busy(site: &Site) -> (Process, Echo, String) {
    let echo = Echo::start(site, "localhost").unwrap();
    let key = canary().unwrap();
    let file = site.write_secret("key", &key).unwrap();
    site.write_secret("state-key", "0123456789abcdef0123456789abcdef").unwrap();
    let policy = format!(
        "version: 1
credentials:
  own:
    owner: shop@example.com
    static: {{ reason: a test, expires: 2099-12-31 }}
    source: {{ file: {} }}
    inject: bearer
    only_to: [localhost]
rules:
  echo: {{ from: any, to: 'https://localhost:{}', allow_ips: [127.0.0.0/8, '::1/128'], allow: [GET /hello, POST /mirror], credential: own }}
",
        file.display(),
        echo.port
    );
    site.write("policy.yaml", &policy).unwrap();
    let mut command = bare(binary().unwrap());
    // Nobody listens there: what is told is lost, and counted.
    command.env("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1");
    command.env("KEYGRESS_METRICS", "127.0.0.1:0").env("KEYGRESS_AUDIT_ALSO", site.folder().join("copy.jsonl"));
    let (process, address) = ledger::serve_by(command, site);
    let metrics = process.wait_for("metrics on ").unwrap();
    let metrics = metrics.split(": ").next().unwrap().to_owned();
    for (path, expected) in [("hello", "200"), ("forbidden", "403")] {
        assert_eq!(ledger::get(site, &address, &format!("https://localhost:{}/{path}", echo.port)), expected);
    }
    // An upstream that sends the credential back.
    let mut curl = bare(tools::program("curl").unwrap());
    curl.args(["--silent", "--fail", "--max-time", "60", "--data", &key, "--proxy", &format!("http://{address}"), "--cacert"]);
    curl.arg(site.folder().join("keygress-ca.pem")).arg(format!("https://localhost:{}/mirror", echo.port));
    assert!(!output(&mut curl).unwrap().contains(&key));
    (process, echo, metrics)
}

fn get(url: &str) -> String {
    output(bare(tools::program("curl").unwrap()).args(["--silent", "--show-error", "--max-time", "60", url])).unwrap()
}

/// The names of keygress's metrics in a text.
fn names(text: &str) -> BTreeSet<&str> {
    let rest = text.match_indices("keygress_").map(|(at, _)| &text[at..]);
    rest.map(|rest| rest.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next().unwrap()).collect()
}

/// The expressions of the dashboard, over all instances.
fn expressions() -> Vec<String> {
    let dashboard: Value = serde_json::from_str(&std::fs::read_to_string(example("dashboard.json")).unwrap()).unwrap();
    let panels = dashboard["panels"].as_array().unwrap().iter();
    let targets = panels.flat_map(|panel| panel["targets"].as_array().cloned().unwrap_or_default());
    targets.map(|target| target["expr"].as_str().unwrap().replace("$instance", ".*")).collect()
}

#[test]
fn the_rules_are_sound_and_raise_what_they_should() {
    for (arguments, file) in
        [(["check", "config"], "prometheus.yml"), (["check", "rules"], "alerts.yml"), (["test", "rules"], "alerts_test.yml")]
    {
        let done = output(promtool().args(arguments).arg(example(file))).unwrap();
        assert!(done.contains("SUCCESS"), "{done}");
    }
}

#[test]
fn every_metric_of_rules_dashboard_and_readme_is_in_a_real_scrape() {
    let site = Site::new().unwrap();
    let (_running, _echo, address) = busy(&site);
    let scrape = get(&format!("http://{address}/metrics"));
    let mut lint = promtool();
    let mut lint = lint.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    std::io::Write::write_all(&mut lint.stdin.take().unwrap(), scrape.as_bytes()).unwrap();
    let lint = lint.wait_with_output().unwrap();
    assert!(lint.status.success(), "{lint:?}");

    let text = |name: &str| std::fs::read_to_string(example(name)).unwrap();
    let there = names(&scrape);
    let (rules, dashboard, readme) = (text("alerts.yml"), text("dashboard.json"), text("README.md"));
    for (file, text) in [("alerts.yml", &rules), ("dashboard.json", &dashboard), ("README.md", &readme)] {
        let missing: Vec<_> = names(text).into_iter().filter(|name| !there.contains(name)).collect();
        assert!(missing.is_empty(), "{file} names what is not there: {missing:?}\n{scrape}");
    }
    let families = scrape.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next());
    let untold: Vec<_> = families.filter(|name| !readme.contains(&format!("`{name}"))).collect();
    assert!(untold.is_empty(), "the README does not tell of {untold:?}");
    assert!(scrape.contains("keygress_request_overhead_seconds_count 2\n"), "two requests were sent, and one was refused:\n{scrape}");
    assert!(!scrape.contains("localhost"), "no host is a label:\n{scrape}");
}

#[test]
fn prometheus_scrapes_it_and_answers_every_panel() {
    let site = Site::new().unwrap();
    let (_running, _echo, address) = busy(&site);
    let config = std::fs::read_to_string(example("prometheus.yml")).unwrap();
    let config = config.replace("127.0.0.1:9464", &address).replace(": 15s", ": 1s");
    let config = site.write("prometheus.yml", &config).unwrap();
    std::fs::copy(example("alerts.yml"), site.folder().join("alerts.yml")).unwrap();
    let mut command = bare(tools::program("prometheus").unwrap());
    command.arg("--config.file").arg(config).arg("--storage.tsdb.path").arg(site.folder().join("tsdb"));
    let prometheus = Process::start(command.args(["--web.listen-address", "127.0.0.1:0"]), "").unwrap();
    let at = prometheus.wait_for("msg=\"Listening on\" address=").unwrap();
    let at = at.split(' ').next().unwrap().to_owned();
    let query = |expression: &str| -> Value {
        let mut curl = bare(tools::program("curl").unwrap());
        curl.args(["--silent", "--max-time", "60", "--get", "--data-urlencode", &format!("query={expression}")]);
        // While it reads its storage it answers in words.
        serde_json::from_str(&output(curl.arg(format!("http://{at}/api/v1/query"))).unwrap()).unwrap_or_default()
    };
    let series = |answer: &Value| answer["data"]["result"].as_array().map_or(0, Vec::len);
    // A rate needs two scrapes.
    let begun = Instant::now();
    while series(&query("rate(keygress_request_overhead_seconds_count[1m])")) == 0 {
        assert!(begun.elapsed() < TIME_MAX, "{:?}", prometheus.lines());
    }
    let expressions = expressions();
    assert!(expressions.len() > 25, "{expressions:?}");
    for expression in &expressions {
        let answer = query(expression);
        assert_eq!(answer["status"], "success", "{expression}: {answer}");
        // Nobody misused anything.
        assert!(series(&answer) > 0 || expression.contains("keygress_alerts_total"), "{expression}: {answer}");
    }
    let rules: Value = serde_json::from_str(&get(&format!("http://{at}/api/v1/rules"))).unwrap();
    let rules = rules["data"]["groups"][0]["rules"].as_array().unwrap().clone();
    assert!(!rules.is_empty() && rules.iter().all(|rule| rule["lastError"].is_null()), "{rules:?}");
}
