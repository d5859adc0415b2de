use std::collections::BTreeMap;

use clap::Parser;
use serde_json::{Value, json};

use super::manifest::with_sidecars;
use super::{Outcome, Plan, add, patch};

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    plan: Plan,
}

fn plan() -> Plan {
    Line::parse_from(["test", "--image", "registry.example/keygress:1", "--net-image", "registry.example/keygress-net:1"]).plan
}

fn pod(annotations: &Value) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": { "name": "app", "labels": { "keygress.dev/inject": "true" }, "annotations": annotations },
        "spec": { "containers": [{ "name": "app", "image": "app:1" }], "initContainers": [{ "name": "migrate", "image": "app:1" }] }
    })
}

/// The spec of this pod, with these changes, once keygress is there.
fn added(annotations: &Value, change: impl FnOnce(&mut Value)) -> Value {
    let mut pod = pod(annotations);
    change(&mut pod);
    assert_eq!(add(&mut pod, &plan()).unwrap().added, 1);
    pod["spec"].take()
}

fn refused(change: impl FnOnce(&mut Value)) -> String {
    let mut pod = pod(&json!({}));
    change(&mut pod);
    add(&mut pod, &plan()).unwrap_err()
}

fn names(list: &Value) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap()).collect()
}

fn env(container: &Value) -> BTreeMap<&str, &str> {
    let entries = container["env"].as_array().unwrap().iter();
    entries.map(|entry| (entry["name"].as_str().unwrap(), entry["value"].as_str().unwrap_or("from elsewhere"))).collect()
}

#[test]
fn what_captures_comes_first_then_keygress_then_what_the_pod_begins_with() {
    let spec = added(&json!({}), |_| {});
    assert_eq!(names(&spec["initContainers"]), ["keygress-capture", "keygress", "migrate"]);
    let (capture, sidecar) = (&spec["initContainers"][0], &spec["initContainers"][1]);
    assert_eq!(capture["args"], json!(["net", "up", "--user", "18787", "--to", "8788"]));
    assert_eq!(capture["securityContext"]["capabilities"], json!({ "drop": ["ALL"], "add": ["NET_ADMIN"] }));
    assert!(capture.get("restartPolicy").is_none(), "it ends");
    assert_eq!(sidecar["restartPolicy"], "Always", "a Job ends without it");
    let context = &sidecar["securityContext"];
    assert_eq!(
        (&context["runAsUser"], &context["runAsNonRoot"], &context["readOnlyRootFilesystem"]),
        (&json!(18787), &json!(true), &json!(true))
    );
    assert_eq!(context["capabilities"], json!({ "drop": ["ALL"] }));
    assert_eq!((&context["seccompProfile"]["type"], &context["allowPrivilegeEscalation"]), (&json!("RuntimeDefault"), &json!(false)));
    assert_eq!(sidecar["startupProbe"]["httpGet"], json!({ "path": "/readyz", "port": 8790 }));
    let own = env(sidecar);
    assert_eq!((own["KEYGRESS_TRANSPARENT"], own["KEYGRESS_CA_FOLDER"]), ("127.0.0.1:8788,[::1]:8788", "/run/keygress"));
    let token = spec["volumes"].as_array().unwrap().iter().find(|volume| volume["name"] == "keygress-token").unwrap();
    let token = &token["projected"]["sources"][0]["serviceAccountToken"];
    assert_eq!(token, &json!({ "audience": "keygress", "expirationSeconds": 3600, "path": "token" }));
}

#[test]
fn every_container_trusts_keygress_and_only_reads_what_it_trusts() {
    let spec = added(&json!({ "keygress.dev/placeholders": "STRIPE_API_KEY=sk_live_, OTHER" }), |_| {});
    for container in [&spec["containers"][0], &spec["initContainers"][2]] {
        assert_eq!(container["volumeMounts"], json!([{ "name": "keygress-trust", "mountPath": "/run/keygress", "readOnly": true }]));
        let env = env(container);
        for (name, value) in [
            ("SSL_CERT_FILE", "/run/keygress/bundle.pem"),
            ("REQUESTS_CA_BUNDLE", "/run/keygress/bundle.pem"),
            ("NODE_EXTRA_CA_CERTS", "/run/keygress/ca.pem"),
            ("JAVA_TOOL_OPTIONS", "-Djavax.net.ssl.trustStore=/run/keygress/trust.jks -Djavax.net.ssl.trustStoreType=JKS"),
            ("STRIPE_API_KEY", "sk_live_keygress-placeholder-0000000000"),
            ("OTHER", "keygress-placeholder-0000000000"),
        ] {
            assert_eq!(env.get(name), Some(&value), "{name}");
        }
        assert!(!env.contains_key("HTTPS_PROXY"), "what is captured needs no proxy");
    }
}

#[test]
fn without_capture_the_containers_get_the_proxy_and_nothing_is_privileged() {
    let spec = added(&json!({ "keygress.dev/capture": "false" }), |_| {});
    assert_eq!(names(&spec["initContainers"]), ["keygress", "migrate"]);
    let env = env(&spec["containers"][0]);
    assert_eq!((env["HTTPS_PROXY"], env["http_proxy"], env["NODE_USE_ENV_PROXY"]), ("http://127.0.0.1:8787", "http://127.0.0.1:8787", "1"));
    assert!(env["JAVA_TOOL_OPTIONS"].contains("-Dhttps.proxyPort=8787") && env["JAVA_TOOL_OPTIONS"].contains("trust.jks"));
    assert!(!spec.to_string().contains("NET_ADMIN") && !spec.to_string().contains("KEYGRESS_TRANSPARENT"));
}

#[test]
fn secrets_and_settings_are_keygresses_alone() {
    let annotations = json!({ "keygress.dev/policy": "billing", "keygress.dev/config": "brokers", "keygress.dev/secrets": "stripe,tls" });
    let spec = added(&annotations, |_| {});
    let sidecar = &spec["initContainers"][1];
    let paths: Vec<_> = sidecar["volumeMounts"].as_array().unwrap().iter().map(|mount| mount["mountPath"].as_str().unwrap()).collect();
    assert!(
        paths.contains(&"/run/secrets/stripe") && paths.contains(&"/run/secrets/tls") && paths.contains(&"/etc/keygress/proxy"),
        "{paths:?}"
    );
    let volume = |name: &str| spec["volumes"].as_array().unwrap().iter().find(|volume| volume["name"] == name).unwrap().clone();
    assert_eq!(volume("keygress-policy")["configMap"]["name"], "billing");
    assert_eq!(volume("keygress-secret-0")["secret"], json!({ "secretName": "stripe", "defaultMode": 0o440 }));
    assert_eq!(names(&spec["containers"][0]["volumeMounts"]), ["keygress-trust"]);
}

#[test]
fn what_a_container_sets_itself_stays() {
    let mut pod = pod(&json!({}));
    pod["spec"]["containers"][0]["env"] = json!([{ "name": "SSL_CERT_FILE", "value": "/own.pem" }, { "name": "JAVA_TOOL_OPTIONS", "value": "-Xmx1g" }, { "name": "A", "value": "b" }]);
    let outcome = add(&mut pod, &plan()).unwrap();
    assert_eq!(outcome.notes, ["Pod `app`: its container `app` sets `SSL_CERT_FILE` itself, which stays"]);
    let env = env(&pod["spec"]["containers"][0]);
    assert_eq!((env["SSL_CERT_FILE"], env["A"]), ("/own.pem", "b"));
    assert!(env["JAVA_TOOL_OPTIONS"].starts_with("-Xmx1g -Djavax"));
}

#[test]
fn twice_is_once() {
    let mut once = pod(&json!({}));
    add(&mut once, &plan()).unwrap();
    let mut twice = once.clone();
    assert_eq!(add(&mut twice, &plan()), Ok(Outcome { had: 1, ..Outcome::default() }));
    assert_eq!(once, twice);
    // Another webhook adds a container in between.
    twice["spec"]["containers"].as_array_mut().unwrap().push(json!({ "name": "late", "image": "late:1" }));
    assert_eq!(add(&mut twice, &plan()).unwrap().added, 1);
    assert_eq!(env(&twice["spec"]["containers"][1])["SSL_CERT_FILE"], "/run/keygress/bundle.pem");
    assert_eq!(names(&twice["spec"]["initContainers"]), ["keygress-capture", "keygress", "migrate"]);
    assert_eq!(twice["spec"]["volumes"], once["spec"]["volumes"]);
}

#[test]
fn every_workload_has_its_pods_elsewhere() {
    let template = |pod: Value| json!({ "metadata": pod["metadata"], "spec": pod["spec"] });
    let workload = |version: &str, kind: &str| json!({ "apiVersion": version, "kind": kind, "metadata": { "name": "w" }, "spec": { "template": template(pod(&json!({}))) } });
    let mut objects: Vec<_> =
        [("apps/v1", "Deployment"), ("apps/v1", "StatefulSet"), ("apps/v1", "DaemonSet"), ("apps/v1", "ReplicaSet"), ("batch/v1", "Job")]
            .map(|(version, kind)| workload(version, kind))
            .into();
    objects.push(json!({ "apiVersion": "batch/v1", "kind": "CronJob", "metadata": {}, "spec": { "jobTemplate": { "spec": { "template": template(pod(&json!({}))) } } } }));
    for object in &objects {
        let mut changed = object.clone();
        assert_eq!(add(&mut changed, &plan()).unwrap().added, 1, "{object}");
        assert!(changed["spec"].to_string().contains("keygress-capture"));
        assert_eq!(changed["metadata"], object["metadata"], "the workload itself stays as it is");
    }
    let mut list = json!({ "apiVersion": "v1", "kind": "List", "items": objects });
    assert_eq!(add(&mut list, &plan()).unwrap().added, objects.len());
}

#[test]
fn everything_else_stays_as_it_is() {
    let unasked = |change: fn(&mut Value)| {
        let mut pod = pod(&json!({}));
        change(&mut pod);
        pod
    };
    for object in [
        unasked(|pod| pod["metadata"]["labels"] = json!({})),
        unasked(|pod| pod["metadata"]["labels"]["keygress.dev/inject"] = json!("false")),
        unasked(|pod| pod["kind"] = json!("Podling")),
        unasked(|pod| pod["apiVersion"] = json!("batch.example.com/v1")),
        json!({ "apiVersion": "v1", "kind": "ConfigMap", "data": { "a": "b" } }),
        json!({ "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "labels": { "keygress.dev/inject": "true" } }, "spec": {} }),
        json!("text"),
        Value::Null,
    ] {
        let mut same = object.clone();
        assert_eq!(add(&mut same, &plan()), Ok(Outcome::default()));
        assert_eq!(same, object);
    }
}

#[test]
fn a_pod_in_which_keygress_would_not_hold_is_refused_with_the_remedy() {
    type Change = fn(&mut Value);
    let cases: [(Change, &str); 14] = [
        (|pod| pod["spec"]["hostNetwork"] = json!(true), "`hostNetwork` would open its listener"),
        (|pod| pod["spec"]["hostPID"] = json!(true), "`hostPID` lets the other containers look at"),
        (|pod| pod["spec"]["shareProcessNamespace"] = json!(true), "take it away"),
        (|pod| pod["spec"]["os"] = json!({ "name": "windows" }), "runs on Linux"),
        (|pod| pod["spec"]["containers"] = json!([]), "no containers"),
        (|pod| pod["spec"]["containers"] = json!({}), "no containers"),
        (|pod| drop(pod.as_object_mut().unwrap().remove("spec")), "no `spec`"),
        (|pod| pod["spec"]["securityContext"] = json!({ "runAsUser": 18787 }), "runs as user 18787, as keygress does"),
        (|pod| pod["spec"]["containers"][0]["ports"] = json!([{ "containerPort": 8790 }]), "has port 8790"),
        (|pod| pod["spec"]["containers"][0]["name"] = json!("keygress"), "a container `keygress` of its own"),
        (|pod| pod["spec"]["volumes"] = json!([{ "name": "keygress-policy" }]), "a volume `keygress-policy` of its own"),
        (|pod| pod["spec"]["containers"][0]["env"] = json!("A=b"), "`env` of its container `app` is no list"),
        (|pod| pod["metadata"]["labels"]["keygress.dev/inject"] = json!(true), "in quotes"),
        (|pod| pod["metadata"]["annotations"]["keygress.dev/capture"] = json!("no"), "is \"true\" or \"false\", not `no`"),
    ];
    for (change, why) in cases {
        let said = refused(change);
        assert!(said.starts_with("Pod `app`: ") && said.contains(why), "{said}");
    }
    for (annotation, value) in [("policy", "../x"), ("secrets", "a,B_"), ("placeholders", "A B=c"), ("policy", "")] {
        let said = refused(|pod| pod["metadata"]["annotations"][format!("keygress.dev/{annotation}")] = json!(value));
        assert!(said.contains(&format!("keygress.dev/{annotation}")), "{said}");
    }
}

#[test]
fn a_patch_makes_the_one_of_the_other() {
    let before = pod(&json!({ "a/b": "c" }));
    let mut after = before.clone();
    add(&mut after, &plan()).unwrap();
    let operations = patch(&before, &after);
    let mut patched = before.clone();
    for operation in &operations {
        let (parent, member) = operation["path"].as_str().unwrap().rsplit_once('/').unwrap();
        let member = member.replace("~1", "/").replace("~0", "~");
        let there = patched.pointer_mut(parent).unwrap().as_object_mut().unwrap().insert(member, operation["value"].clone());
        assert_eq!(there.is_some(), operation["op"] == "replace", "{operation}");
    }
    assert_eq!(patched, after);
    assert!(patch(&after, &after).is_empty());
    assert!(operations.iter().any(|operation| operation["path"] == "/metadata/annotations/keygress.dev~1injected"), "{operations:?}");
}

const MANIFEST: &str = "# First\nkind: ConfigMap\napiVersion: v1\ndata: {a:   1}\n---\n# Second\napiVersion: v1\nkind: Pod\nmetadata:\n  name: app\n  \
                        labels: {keygress.dev/inject: \"true\"}\nspec:\n  containers:\n  - name: app\n    image: a:1\n    args: [\"yes\", \"0644\", \"a: b\", \"\u{e4}\\n\"]\n  \
                        volumes:\n  - name: v\n    configMap: {name: c, defaultMode: 0440}\n--- # Third\nkind: Secret\n";

#[test]
fn documents_that_ask_for_nothing_pass_byte_for_byte() {
    let (out, outcome) = with_sidecars(MANIFEST, &plan()).unwrap();
    assert_eq!(outcome.added, 1);
    assert!(out.starts_with("# First\nkind: ConfigMap\napiVersion: v1\ndata: {a:   1}\n---\n"), "{out}");
    assert!(out.ends_with("\n--- # Third\nkind: Secret\n"), "{out}");
    let second: Value = serde_yaml::from_str(out.split("---").nth(1).unwrap()).unwrap();
    assert_eq!(second["spec"]["containers"][0]["args"], json!(["yes", "0644", "a: b", "\u{e4}\n"]));
    assert_eq!(second["spec"]["volumes"][0]["configMap"]["defaultMode"], 0o440);
    assert_eq!(with_sidecars(&out, &plan()).unwrap(), (out, Outcome { had: 1, ..Outcome::default() }));
}

#[test]
fn what_is_read_in_two_ways_is_named() {
    for (word, ok) in [
        ("yes", false),
        ("Off", false),
        ("1_000", false),
        ("0o17", false),
        ("0x1f", false),
        ("12:30:45", false),
        ("true", true),
        ("v1:2", true),
    ] {
        let text = MANIFEST.replace("image: a:1", &format!("image: {word}"));
        let said = with_sidecars(&text, &plan());
        assert_eq!(said.is_ok(), ok, "{word}: {said:?}");
        if let Err(why) = said {
            assert!(
                why.starts_with("the document at line 5: ") && why.contains(&format!("`{word}`")) && why.contains("in quotes"),
                "{why}"
            );
        }
    }
    let broken = with_sidecars("a: 1\n---\nkind: Pod\nmetadata: {keygress.dev/inject\n", &plan()).unwrap_err();
    assert!(broken.starts_with("the document at line 2: "), "{broken}");
}

#[test]
fn what_is_written_is_read_alike_by_another_parser() {
    let mut value = pod(&json!({}));
    value["metadata"]["annotations"] = json!({
        "empty": "", "space": " x ", "quote": "\"'", "hash": "a # b", "tab": "\t", "long": "a\nb\n", "on": "on", "null": "null", "n": "1e3", "d": "-", "u": "\u{2028}\u{1f600}"
    });
    value["spec"]["containers"][0]["args"] = json!([[], {}, [[1, [2]]], 1.5, -3, true, null, { "a": [{ "b": {} }] }]);
    let (out, outcome) = with_sidecars(&value.to_string(), &plan()).unwrap();
    assert_eq!(outcome.added, 1);
    add(&mut value, &plan()).unwrap();
    assert_eq!(serde_yaml::from_str::<Value>(&out).unwrap(), value, "{out}");
    assert_eq!(serde_saphyr::from_str::<Value>(&out).unwrap(), value, "{out}");
}
