use std::ffi::OsStr;
use std::fs;
use std::path::Path;

use clap::Parser;

use super::*;

#[derive(Debug, Parser)]
struct Line {
    #[command(flatten)]
    flags: Flags,
}

fn settings<I: AsRef<OsStr>>(line: impl IntoIterator<Item = I>) -> Result<Settings, String> {
    let line = std::iter::once(OsStr::new("serve").to_owned()).chain(line.into_iter().map(|word| word.as_ref().to_owned()));
    Line::try_parse_from(line).map_err(|error| error.to_string())?.flags.settings().map_err(|error| error.to_string())
}

fn from_file(text: &str, line: &[&str]) -> (tempfile::TempDir, Result<Settings, String>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("proxy.yaml");
    fs::write(&path, text).unwrap();
    let path = path.to_str().unwrap();
    let settings = settings(["--config", path].iter().chain(line));
    (folder, settings)
}

#[test]
fn a_policy_is_enough() {
    let settings = settings(["--policy", "policy.yaml"]).unwrap();
    assert_eq!(settings.policy, [Path::new("policy.yaml")]);
    assert_eq!(settings.tcp, ["127.0.0.1:8787".parse().unwrap()]);
    assert!(settings.unix.is_empty() && !settings.unsafe_same_uid && !settings.require_task);
    assert!(matches!(settings.audit, Sink::Stdout));
    assert_eq!(settings.drain_grace, Duration::from_secs(30));
    assert_eq!(settings.overload_delay, Duration::from_millis(20));
}

#[test]
fn without_a_policy_it_says_where_to_name_one() {
    let error = settings::<&str>([]).unwrap_err();
    assert_eq!(error, "no policy is named\nhelp: name it with `--policy PATH`, in KEYGRESS_POLICY, or under `policy:` in proxy.yaml");
}

#[test]
fn only_loopback_is_listened_on_unless_said_otherwise() {
    for address in ["0.0.0.0:8787", "[::]:1", "10.0.0.1:80"] {
        let error = settings(["--policy", "p", "--listen", address]).unwrap_err();
        assert!(error.contains(&format!("`{address}` is not a loopback address")) && error.contains("--unsafe-listen"), "{error}");
        settings(["--policy", "p", "--listen", address, "--unsafe-listen"]).unwrap();
        settings(["--policy", "p", "--transparent", address]).unwrap_err();
        settings(["--policy", "p", "--tproxy", address]).unwrap_err();
    }
    settings(["--policy", "p", "--listen", "127.8.8.8:1,[::1]:2"]).unwrap();
}

#[test]
fn a_unix_socket_alone_opens_no_tcp_port() {
    assert!(settings(["--policy", "p", "--unix", "/run/k.sock"]).unwrap().tcp.is_empty());
    assert!(settings(["--policy", "p", "--transparent", "127.0.0.1:1"]).unwrap().tcp.is_empty());
}

#[test]
fn the_file_says_the_same_as_the_flags_and_its_paths_are_its_own() {
    let (folder, settings) = from_file(
        "policy: [policies]\n\
         listen: { tcp: ['127.0.0.1:1'], transparent: ['127.0.0.1:2', '[::1]:2'], tproxy: ['127.0.0.1:3'], unix: [/run/k.sock] }\n\
         mark: 7\n\
         workers: 3\n\
         audit: audit.jsonl\n\
         audit_strict: true\n\
         audit_also: [stdout, 'syslog:/run/log']\n\
         audit_key: key.pem\n\
         audit_rotate: { size: 64KiB, every: 24h, keep: 3 }\n\
         otlp: { endpoint: https://collector, headers: otlp, traces: 0.5, resource: { region: eu } }\n\
         admin: { socket: admin.sock, metrics: 0.0.0.0:9464 }\n\
         upstream_ca: [ca.pem]\n\
         ca: { permit: ['*.example.com', api.test], file: local.pem }\n\
         require_task: true\n\
         kubernetes: { token: token, jwks: /keys.json, issuer: https://k8s, audience: keygress }\n\
         drain_grace: 1m 30s\n\
         overload_delay: 4ms\n\
         unsafe_same_uid: true\n",
        &[],
    );
    let settings = settings.unwrap();
    let own = |name: &str| folder.path().join(name);
    assert_eq!(settings.policy, [own("policies")]);
    assert_eq!(settings.tcp, ["127.0.0.1:1".parse().unwrap()]);
    assert_eq!(settings.unix, [Path::new("/run/k.sock")]);
    assert_eq!(settings.transparent, ["127.0.0.1:2".parse().unwrap(), "[::1]:2".parse().unwrap()]);
    assert_eq!((settings.tproxy, settings.mark), (vec!["127.0.0.1:3".parse().unwrap()], Some(7)));
    assert_eq!(settings.workers, 3);
    assert!(matches!(settings.audit, Sink::File(path) if path == own("audit.jsonl")) && settings.audit_strict);
    assert_eq!(settings.audit_also, [Also::Stdout, Also::Syslog("/run/log".into())]);
    assert_eq!(settings.audit_key, Some(own("key.pem")));
    let day = Duration::from_secs(86_400);
    assert_eq!(settings.audit_rotation, Rotation { bytes_max: Some(65_536), age_max: Some(day), kept: Some(3) });
    let otlp = settings.otlp.unwrap();
    assert_eq!((&*otlp.endpoint, otlp.headers, otlp.traces, &*otlp.service), ("https://collector", Some(own("otlp")), 0.5, "keygress"));
    assert_eq!(otlp.resource, [("region".to_owned(), "eu".to_owned())]);
    assert_eq!(settings.admin_socket, Some(own("admin.sock")));
    assert_eq!(settings.metrics, Some("0.0.0.0:9464".parse().unwrap()));
    assert_eq!(settings.upstream_ca, [own("ca.pem")]);
    assert_eq!(settings.ca_permit, [HostPattern::Under("example.com".into()), HostPattern::Exact(Host::Name("api.test".into()))]);
    assert_eq!(settings.ca_file, Some(own("local.pem")));
    assert!(settings.require_task && settings.unsafe_same_uid);
    assert_eq!(settings.kubernetes.unwrap().jwks, Path::new("/keys.json"));
    assert_eq!(settings.drain_grace, Duration::from_secs(90));
    assert_eq!(settings.overload_delay, Duration::from_millis(4));
}

#[test]
fn a_flag_wins_over_the_file() {
    let file = "policy: [a.yaml]\nworkers: 3\naudit: a.jsonl\ndrain_grace: 1s\n";
    let (_folder, settings) = from_file(file, &["--policy", "b.yaml", "--workers", "2", "--audit", "stdout", "--drain-grace", "2s"]);
    let settings = settings.unwrap();
    assert_eq!(settings.policy, [Path::new("b.yaml")]);
    assert_eq!((settings.workers, settings.drain_grace), (2, Duration::from_secs(2)));
    assert!(matches!(settings.audit, Sink::Stdout));
}

#[test]
fn a_wide_listener_in_the_file_needs_its_word_too() {
    let (_folder, settings) = from_file("policy: [a]\nlisten: { tcp: ['0.0.0.0:1'] }\n", &[]);
    settings.unwrap_err();
    let (_folder, settings) = from_file("policy: [a]\nlisten: { tcp: ['0.0.0.0:1'] }\nunsafe_listen: true\n", &[]);
    settings.unwrap();
}

#[test]
fn a_strict_audit_goes_to_a_file() {
    let refused = settings(["--policy", "p", "--audit-strict"]).unwrap_err();
    assert!(refused.contains("a strict audit goes to a file") && refused.contains("--audit FILE"), "{refused}");
    assert!(settings(["--policy", "p", "--audit-strict", "--audit", "a.jsonl"]).unwrap().audit_strict);
    assert!(!settings(["--policy", "p", "--audit", "a.jsonl"]).unwrap().audit_strict);
}

#[test]
fn what_of_the_audit_does_not_fit_together_is_refused() {
    let refused = |line: &[&str], part: &str| {
        let error = settings(["--policy", "p"].iter().chain(line)).unwrap_err();
        assert!(error.contains(part), "`{part}` is not in: {error}");
    };
    refused(&["--audit-rotate-size", "1MiB"], "only an audit file is put aside");
    refused(&["--audit", "a", "--audit-rotate-size", "1000"], "`1000` is not a size");
    refused(&["--audit", "a", "--audit-rotate-size", "63KiB"], "64KiB or more");
    refused(&["--audit-also", "stdout"], "goes to standard output already");
    refused(&["--audit", "/a", "--audit-also", "/a"], "goes to `/a` already");
    refused(&["--audit-also", "http://collector"], "is no sink");
    refused(&["--audit-also", "otlp"], "OTEL_EXPORTER_OTLP_ENDPOINT");
    let collector = ["--otlp-endpoint", "https://collector"];
    refused(&[&collector[..], &["--otlp-traces", "1.5"]].concat(), "`1.5` is not a share of requests");
    refused(&[&collector[..], &["--otlp-resource", "region"]].concat(), "KEY=VALUE");
    let told = settings(["--policy", "p", "--audit-also", "otlp", "--otlp-resource", "a=b,c = d"].iter().chain(&collector)).unwrap();
    assert_eq!((told.otlp.unwrap().resource.len(), told.audit_also), (2, vec![Also::Otlp]));
}

#[test]
fn mistakes_are_named() {
    let refused = |text: &str, part: &str| {
        let (_folder, settings) = from_file(text, &["--policy", "p"]);
        let error = settings.unwrap_err();
        assert!(error.contains(part), "`{part}` is not in: {error}");
    };
    refused("polcy: [a]\n", "polcy");
    refused("workers: 1\nworkers: 2\n", "workers");
    refused("listen: { tcp: [localhost] }\n", "proxy.yaml");
    refused("workers: 0\n", "there must be 1 to 256");
    refused("drain_grace: 30\n", "such as `30s`");
    refused("drain_grace: -30s\n", "such as `30s`");
    refused("overload_delay: 4\n", "such as `30s`");
    refused("ca: { permit: ['*.10.0.0.1'] }\n", "*.10.0.0.1");
    assert!(settings(["--policy", "p", "--config", "/nonexistent.yaml"]).unwrap_err().contains("cannot read `/nonexistent.yaml`"));
    assert!(settings(["--policy", "p", "--kubernetes-issuer", "https://k8s"]).unwrap_err().contains("incomplete"));
    assert!(settings(["--policy", "p", "--workers", "0"]).unwrap_err().contains("workers"));
}

#[test]
fn an_extra_root_is_a_certificate() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ca.pem");
    let error = |path: &Path| roots(&[path.to_owned()]).unwrap_err().to_string();
    assert!(error(&path).contains("upstream CA"));
    fs::write(&path, "no certificate").unwrap();
    assert!(error(&path).contains("holds no certificate"));
    fs::write(&path, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").unwrap();
    assert!(error(&path).contains("upstream CA"));

    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::new(["ca.test".to_owned()]).unwrap().self_signed(&key).unwrap();
    fs::write(&path, certificate.pem()).unwrap();
    let without = roots(&[]).unwrap();
    assert!(!without.is_empty());
    assert_eq!(roots(&[path]).unwrap().len(), without.len() + 1);
}
