use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use keygress_tests::client::{Reply, bare, curl_reply};
use keygress_tests::process::Process;
use keygress_tests::proxy::binary;
use keygress_tests::site::{Site, Validity};
use keygress_tests::tools;
use serde_json::{Value, json};

use super::{fed, validated};

/// The running webhook.
struct Webhook {
    port: u16,
    process: Process,
    site: Site,
}

impl Webhook {
    fn start() -> Self {
        let site = Site::new().unwrap();
        show(&site, &site);
        let mut command = bare(binary().unwrap());
        command.args(["inject-webhook", "--listen", "127.0.0.1:0", "--ipv4-only", "--certificate"]).arg(site.folder().join("tls.crt"));
        command.arg("--key").arg(site.folder().join("tls.key"));
        let process = Process::start(&mut command, "").unwrap();
        let port = process.wait_for("answers the API server on 127.0.0.1:").unwrap().parse().unwrap();
        Self { port, process, site }
    }

    fn curl(&self, path: &str) -> Command {
        let mut curl = bare(tools::program("curl").unwrap());
        curl.args(["--silent", "--show-error", "--max-time", "60", "--cacert"]).arg(self.site.upstream_ca());
        curl.arg(format!("https://localhost:{}{path}", self.port));
        curl
    }

    /// What it says to this body.
    fn asked(&self, body: &str) -> Reply {
        let file = self.site.write("body", body).unwrap();
        let mut curl = self.curl("/inject");
        curl.args(["--header", "Content-Type: application/json", "--header", "Expect:", "--data-binary"]);
        curl_reply(curl.arg(format!("@{}", file.display()))).unwrap().0
    }

    /// Its response about this object.
    fn reviewed(&self, object: &Value) -> Value {
        let reply = self.asked(&review(object).to_string());
        assert_eq!((reply.status, reply.content_type.as_str()), (200, "application/json"), "{reply:?}");
        let answer: Value = serde_json::from_str(&reply.body).unwrap();
        assert_eq!((&answer["apiVersion"], &answer["kind"]), (&json!("admission.k8s.io/v1"), &json!("AdmissionReview")));
        assert_eq!(answer["response"]["uid"], "705ab4f5-6393-11e8-b7cc-42010a800002");
        answer["response"].clone()
    }
}

/// Puts the certificate of this authority where the webhook at that site reads it.
fn show(at: &Site, authority: &Site) {
    let own = authority.certificate("localhost", Validity::Current).unwrap();
    at.write_secret("tls.key.new", &own.key).unwrap();
    at.write("tls.crt.new", &own.certificate).unwrap();
    for name in ["tls.key", "tls.crt"] {
        std::fs::rename(at.folder().join(format!("{name}.new")), at.folder().join(name)).unwrap();
    }
}

/// The question of an API server, as the reference of Kubernetes shows it.
fn review(object: &Value) -> Value {
    json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": "705ab4f5-6393-11e8-b7cc-42010a800002",
            "kind": { "group": "", "version": "v1", "kind": "Pod" },
            "resource": { "group": "", "version": "v1", "resource": "pods" },
            "namespace": "payments",
            "operation": "CREATE",
            "userInfo": { "username": "system:serviceaccount:kube-system:replicaset-controller" },
            "object": object,
            "oldObject": null,
            "options": { "apiVersion": "meta.k8s.io/v1", "kind": "CreateOptions" },
            "dryRun": false
        }
    })
}

fn pod() -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": { "generateName": "billing-", "labels": { "keygress.dev/inject": "true" } },
        "spec": { "containers": [{ "name": "billing", "image": "billing:7", "env": [{ "name": "PIP_CERT", "value": "/own.pem" }] }] }
    })
}

/// The object after this patch, by a library that knows nothing of ours.
fn patched(object: &Value, response: &Value) -> Value {
    assert_eq!(response["patchType"], "JSONPatch", "{response}");
    let patch = String::from_utf8(STANDARD.decode(response["patch"].as_str().unwrap()).unwrap()).unwrap();
    let script = "import json, sys, jsonpatch; o, p = json.load(sys.stdin); print(json.dumps(jsonpatch.apply_patch(o, p)))";
    let mut python = bare(tools::python().unwrap());
    python.args(["-c", script]).env("PYTHONPATH", tools::kubernetes().unwrap());
    let done = fed(&mut python, &format!("[{object}, {patch}]"));
    assert!(done.status.success(), "{done:?}");
    serde_json::from_slice(&done.stdout).unwrap()
}

#[test]
fn a_pod_that_asks_gets_a_patch_that_makes_a_valid_pod() {
    let webhook = Webhook::start();
    let response = webhook.reviewed(&pod());
    assert_eq!(response["allowed"], true);
    assert_eq!(response["warnings"], json!(["Pod `billing-`: its container `billing` sets `PIP_CERT` itself, which stays"]));
    let changed = patched(&pod(), &response);
    let names: Vec<_> = changed["spec"]["initContainers"].as_array().unwrap().iter().map(|one| one["name"].clone()).collect();
    assert_eq!(names, ["keygress-capture", "keygress"]);
    let mut named = changed.clone();
    named["metadata"]["name"] = json!("billing-1");
    assert_eq!(validated(&named.to_string()), ["Pod billing-1"]);
    // Asked again, as after a patch of another webhook, it has nothing to add.
    assert_eq!(webhook.reviewed(&changed), json!({ "uid": response["uid"], "allowed": true }));
}

#[test]
fn a_pod_that_does_not_ask_passes_and_one_that_cannot_have_it_does_not() {
    let webhook = Webhook::start();
    let mut unasked = pod();
    unasked["metadata"]["labels"] = json!({});
    assert_eq!(webhook.reviewed(&unasked)["allowed"], true);
    assert!(webhook.reviewed(&unasked).get("patch").is_none());
    let mut host = pod();
    host["spec"]["hostNetwork"] = json!(true);
    let denied = webhook.reviewed(&host);
    assert_eq!((&denied["allowed"], &denied["status"]["code"]), (&json!(false), &json!(422)));
    let message = denied["status"]["message"].as_str().unwrap();
    assert!(message.starts_with("keygress cannot be added: Pod `billing-`: `hostNetwork` would"), "{message}");
    let mut deletion = review(&Value::Null);
    deletion["request"]["operation"] = json!("DELETE");
    let reply = webhook.asked(&deletion.to_string());
    assert!(reply.status == 200 && reply.body.contains("\"allowed\":true"), "{reply:?}");
}

#[test]
fn what_is_no_question_gets_no_answer_but_the_reason() {
    let webhook = Webhook::start();
    let with = |change: fn(&mut Value)| {
        let mut review = review(&pod());
        change(&mut review);
        review.to_string()
    };
    for (body, why) in [
        (String::new(), "the body is not JSON"),
        ("{\"kind\":".to_owned(), "the body is not JSON"),
        ("[".repeat(100_000), "the body is not JSON"),
        ("null".to_owned(), "the body is no AdmissionReview"),
        (pod().to_string(), "the body is no AdmissionReview"),
        (with(|review| review["apiVersion"] = json!("admission.k8s.io/v1beta1")), "another version of the API"),
        (with(|review| drop(review.as_object_mut().unwrap().remove("request"))), "no `request` with a `uid`"),
        (with(|review| review["request"]["uid"] = json!(7)), "no `request` with a `uid`"),
        (with(|review| review["request"]["uid"] = json!("u".repeat(10_000))), "no `request` with a `uid`"),
        (with(|review| review["request"]["operation"] = json!(null)), "names no `operation`"),
        (with(|review| review["request"]["object"] = json!("pod")), "holds no `object`"),
    ] {
        let reply = webhook.asked(&body);
        assert!(reply.status == 400 && reply.body.contains(why) && reply.body.contains("send an AdmissionReview of"), "{why}: {reply:?}");
    }
    let large = webhook.asked(&format!("{{\"kind\":\"{}\"}}", "x".repeat(9 << 20)));
    assert_eq!((large.status, large.body.as_str()), (413, "an AdmissionReview has at most 8 MiB\n"));
    let form = curl_reply(webhook.curl("/inject").args(["--data", "a=b"])).unwrap().0;
    assert_eq!((form.status, form.body.as_str()), (415, "send an AdmissionReview as application/json\n"));
    assert_eq!(curl_reply(&mut webhook.curl("/inject")).unwrap().0.status, 405);
    assert_eq!(curl_reply(&mut webhook.curl("/")).unwrap().0.status, 404);
    for probe in ["/readyz", "/healthz"] {
        assert_eq!(curl_reply(&mut webhook.curl(probe)).unwrap().0.status, 200);
    }
    // After all that it answers as before.
    assert_eq!(webhook.reviewed(&pod())["allowed"], true);
}

#[test]
fn whoever_speaks_no_tls_or_says_nothing_holds_up_nobody() {
    let webhook = Webhook::start();
    let silent: Vec<_> = (0..50).map(|_| TcpStream::connect(("127.0.0.1", webhook.port)).unwrap()).collect();
    let mut plain = TcpStream::connect(("127.0.0.1", webhook.port)).unwrap();
    plain.write_all(b"POST /inject HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    // An alert, or the end of the connection; never an answer.
    let _ = plain.read_to_end(&mut answer);
    assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
    assert_eq!(webhook.reviewed(&pod())["allowed"], true);
    drop(silent);
}

#[test]
fn a_certificate_that_was_renewed_is_shown_from_then_on() {
    let webhook = Webhook::start();
    let renewed = Site::new().unwrap();
    show(&webhook.site, &renewed);
    let deadline = Instant::now() + Duration::from_secs(60);
    let mut curl = webhook.curl("/readyz");
    curl.arg("--cacert").arg(renewed.upstream_ca());
    while !curl.output().unwrap().status.success() {
        assert!(Instant::now() < deadline, "the new certificate was not shown: {:?}", webhook.process.lines());
    }
}

#[test]
fn what_it_cannot_start_with_is_named() {
    let webhook = Webhook::start();
    let folder = webhook.site.folder();
    let start = |listen: &str, key: &str| {
        let mut command = bare(binary().unwrap());
        command
            .args(["inject-webhook", "--listen", listen, "--certificate"])
            .arg(folder.join("tls.crt"))
            .arg("--key")
            .arg(folder.join(key));
        let ended = command.output().unwrap();
        assert_eq!(ended.status.code(), Some(1), "{ended:?}");
        String::from_utf8(ended.stderr).unwrap()
    };
    let taken = format!("127.0.0.1:{}", webhook.port);
    assert!(start(&taken, "tls.key").contains(&format!("cannot listen on {taken}")));
    assert!(start("127.0.0.1:0", "nowhere.key").contains("nowhere.key"));
    assert!(
        start("127.0.0.1:0", "upstream-ca.pem").contains("everybody may read or write the private key")
            || start("127.0.0.1:0", "upstream-ca.pem").contains("no private key")
    );
}
