use std::path::PathBuf;
use std::process::{Command, Output};

use keygress_tests::client::bare;
use keygress_tests::site::Site;
use keygress_tests::tools;

use super::{examples, validated};

/// `helm`, with the chart and these arguments.
fn helm(arguments: &[&str]) -> Command {
    let mut command = bare(tools::kubernetes().unwrap().join("bin/helm"));
    command.args(arguments).arg(examples().join("chart")).env("HOME", tools::folder().join("state"));
    command
}

/// The values of the example, with the policy of the broker and the keys of a cluster.
fn with_example(command: &mut Command, site: &Site) -> PathBuf {
    let jwks =
        site.write("jwks.json", r#"{"keys":[{"kty":"EC","crv":"P-256","alg":"ES256","use":"sig","kid":"k","x":"AA","y":"AA"}]}"#).unwrap();
    command.arg("--values").arg(examples().join("values.yaml")).arg("--set-file");
    command.arg(format!("broker.policy={}", tools::root().join("examples/policies/broker.yaml").display()));
    command.arg("--set-file").arg(format!("cluster.jwks={}", jwks.display()));
    jwks
}

fn rendered(more: &[&str]) -> Output {
    let site = Site::new().unwrap();
    let mut template = helm(&["template", "keygress", "--namespace", "keygress"]);
    with_example(&mut template, &site);
    template.args(more).output().unwrap()
}

#[test]
fn helm_finds_no_fault_and_every_object_is_valid() {
    let site = Site::new().unwrap();
    let mut lint = helm(&["lint", "--strict"]);
    with_example(&mut lint, &site);
    let linted = lint.output().unwrap();
    assert!(linted.status.success(), "{linted:?}");

    let all = rendered(&[]);
    assert!(all.status.success(), "{all:?}");
    let text = String::from_utf8(all.stdout).unwrap();
    let mut objects = validated(&text);
    objects.sort();
    let expected = [
        "ConfigMap keygress-broker-policy",
        "ConfigMap keygress-cluster",
        "Deployment keygress-broker",
        "Deployment keygress-webhook",
        "MutatingWebhookConfiguration keygress-keygress",
        "NetworkPolicy keygress-broker",
        "NetworkPolicy keygress-webhook",
        "PodDisruptionBudget keygress-broker",
        "PodDisruptionBudget keygress-webhook",
        "Service keygress-broker",
        "Service keygress-webhook",
        "ServiceMonitor keygress-broker",
    ];
    assert_eq!(objects, expected);
    for hardening in
        ["runAsNonRoot: true", "readOnlyRootFilesystem: true", "allowPrivilegeEscalation: false", "drop: [ALL]", "type: RuntimeDefault"]
    {
        assert_eq!(text.matches(hardening).count(), 2, "{hardening}");
    }
    assert!(text.contains("failurePolicy: Fail"));
}

#[test]
fn each_part_can_be_left_out() {
    for (more, without, objects) in [
        (["--set", "broker.enabled=false"], "broker", 6),
        (["--set", "webhook.enabled=false"], "webhook", 7),
        (["--set", "networkPolicy.enabled=false"], "NetworkPolicy", 10),
        (["--set", "serviceMonitor.enabled=false"], "ServiceMonitor", 11),
        (["--set", "webhook.capture=false"], "nothing of this name", 12),
    ] {
        let some = rendered(&more);
        assert!(some.status.success(), "{some:?}");
        let found = validated(&String::from_utf8(some.stdout).unwrap());
        assert!(found.len() == objects && !found.iter().any(|object| object.contains(without)), "{more:?}: {found:?}");
    }
}

#[test]
fn wrong_values_are_named() {
    let site = Site::new().unwrap();
    for (setting, why) in [
        ("broker.polcy=x", "Additional property polcy is not allowed"),
        ("broker.replicas=0", "broker.replicas: Must be greater than or equal to 1"),
        ("webhook.certManagerCertificate=", "set webhook.caBundle or webhook.certManagerCertificate"),
        ("cluster.issuer=http://plain", "cluster.issuer"),
        ("broker.secrets={Not_A_Name}", "broker.secrets.0"),
    ] {
        let mut template = helm(&["template", "keygress"]);
        with_example(&mut template, &site);
        let refused = template.args(["--set", setting]).output().unwrap();
        let said = String::from_utf8_lossy(&refused.stderr);
        assert!(!refused.status.success() && said.contains(why), "{setting}: {said}");
    }
    for (setting, why) in [
        ("broker.enabled=false", "cluster.jwks is empty: set it to what"),
        ("cluster.namespaces=null", "broker.policy is empty: give it the text"),
    ] {
        let mut template = helm(&["template", "keygress", "--set", setting]);
        let refused = template.arg("--values").arg(examples().join("values.yaml")).output().unwrap();
        let said = String::from_utf8_lossy(&refused.stderr);
        assert!(!refused.status.success() && said.contains(why), "{setting}: {said}");
    }
}
