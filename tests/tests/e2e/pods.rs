//! keygress in pods of Kubernetes: what `inject` writes, what the webhook answers, what the chart renders, and a sidecar that runs as it is told there.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use keygress_tests::client::{bare, output};
use keygress_tests::proxy::binary;
use keygress_tests::tools;

/// The chart.
mod chart;

/// The admission webhook.
mod webhook;

/// The sidecar, as its container starts it.
mod sidecar;

/// The oldest Kubernetes of the schemas, and the newest: sidecar containers are in all of them.
const VERSIONS: [&str; 2] = ["1.29", "1.37"];

fn examples() -> PathBuf {
    tools::root().join("examples/kubernetes")
}

/// Gives a program this standard input, and waits for it.
fn fed(command: &mut Command, input: &str) -> Output {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_owned();
    let writing = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
    let output = child.wait_with_output().unwrap();
    // A program that ends early does not read to the end.
    let _ = writing.join().unwrap();
    output
}

/// Validates every object of these manifests, strictly, and returns `KIND NAME` of each.
fn validated(manifests: &str) -> Vec<String> {
    let mut objects = Vec::new();
    for version in VERSIONS {
        let mut command = bare(tools::python().unwrap());
        command.arg(tools::root().join("tests/clients/manifests.py")).arg(version).env("PYTHONPATH", tools::kubernetes().unwrap());
        let checked = fed(&mut command, manifests);
        assert!(checked.status.success(), "{version}: {}", String::from_utf8_lossy(&checked.stderr));
        objects = String::from_utf8(checked.stdout).unwrap().lines().map(str::to_owned).collect();
    }
    objects
}

fn inject(arguments: &[&str], files: &[&Path]) -> Output {
    bare(binary().unwrap()).arg("inject").args(arguments).args(files).output().unwrap()
}

const IMAGES: [&str; 4] = ["--image", "registry.example.com/keygress:0.1.0", "--net-image", "registry.example.com/keygress-net:0.1.0"];

#[test]
fn the_manifests_of_the_example_are_what_inject_makes_of_the_application() {
    let made = inject(&IMAGES, &[&examples().join("app.yaml")]);
    assert!(made.status.success(), "{made:?}");
    assert_eq!(String::from_utf8_lossy(&made.stderr), "keygress was added to 2 pods\n");
    let (made, shown) = (String::from_utf8(made.stdout).unwrap(), std::fs::read_to_string(examples().join("injected.yaml")).unwrap());
    assert_eq!(made, shown, "make it anew: keygress inject {} examples/kubernetes/app.yaml", IMAGES.join(" "));
    assert_eq!(validated(&made), ["ServiceAccount billing", "Deployment billing", "CronJob reconcile"]);
    let again = inject(&IMAGES, &[&examples().join("injected.yaml")]);
    assert_eq!(String::from_utf8(again.stdout).unwrap(), made, "twice is once");
    assert_eq!(validated(&std::fs::read_to_string(examples().join("payments.yaml")).unwrap()).len(), 3);
}

#[test]
fn inject_reads_what_it_is_piped_and_takes_placeholders_from_the_policy() {
    let policy = tools::root().join("examples/policies/pod.yaml");
    let app = std::fs::read_to_string(examples().join("app.yaml")).unwrap();
    let mut command = bare(binary().unwrap());
    let piped = fed(command.args(["inject", "--no-capture", "-", "--policy"]).arg(&policy), &app);
    let printed = String::from_utf8(piped.stdout).unwrap();
    assert!(piped.status.success(), "{}", String::from_utf8_lossy(&piped.stderr));
    assert!(
        printed.contains("name: PAYMENTS_API_KEY") && printed.contains("sk_live_keygress-placeholder") && !printed.contains("NET_ADMIN")
    );
    assert!(printed.starts_with("# An application as it is."), "what asks for nothing stays as it is");

    let nobody = fed(bare(binary().unwrap()).args(["inject", "-"]), "kind: ConfigMap\n");
    assert_eq!(String::from_utf8(nobody.stdout).unwrap(), "kind: ConfigMap\n");
    assert!(String::from_utf8_lossy(&nobody.stderr).starts_with("no pod asks for keygress: "));
    for (from, to, why) in [
        ("keygress.dev/inject: \"true\"", "keygress.dev/inject: true", "the document at line 7: Deployment `billing`: the label"),
        ("      serviceAccountName: billing\n", "      hostNetwork: true\n", "`hostNetwork` would open its listener"),
        ("replicas: 2", "replicas: 0x2", "`0x2` at its line 8 is read in two ways"),
        ("replicas: 2", "replicas: [2", "the document at line 7"),
    ] {
        let refused = fed(bare(binary().unwrap()).args(["inject", "-"]), &app.replacen(from, to, 1));
        let said = String::from_utf8_lossy(&refused.stderr);
        assert!(
            refused.status.code() == Some(1) && refused.stdout.is_empty() && said.starts_with("error: `-`: ") && said.contains(why),
            "{said}"
        );
    }
    let nowhere = inject(&[], &[Path::new("/nowhere/app.yaml")]);
    assert!(String::from_utf8_lossy(&nowhere.stderr).contains("cannot read `/nowhere/app.yaml`"), "{nowhere:?}");
}

#[test]
fn the_policy_of_the_example_passes_its_own_tests() {
    let folder = keygress_tests::site::Site::new().unwrap();
    let text = std::fs::read_to_string(examples().join("payments.yaml")).unwrap();
    let (_, rest) = text.split_once("  policy.yaml: |\n").unwrap();
    let lines = rest.lines().map_while(|line| line.strip_prefix("    ")).collect::<Vec<_>>().join("\n");
    let policy = folder.write("policy.yaml", &lines).unwrap();
    for command in ["check", "test"] {
        output(bare(binary().unwrap()).arg(command).arg(&policy)).unwrap();
    }
}
