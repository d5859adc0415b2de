use serde_json::{Value, json};

use super::SIDECAR;
use super::plan::{CAPTURED_PORT, METRICS_PORT, PORT, Plan, TRUST};
use super::pod::Wanted;

/// The name of the container that makes the capture rules.
pub(super) const CAPTURE: &str = "keygress-capture";

/// The volume of what the containers trust.
pub(super) const TRUST_VOLUME: &str = "keygress-trust";

/// What is on the volumes is for keygress' group alone: `0440`, as JSON has no octal numbers.
const GROUP_READS: u32 = 0o440;

/// How long a token lives; the kubelet renews it before that, in seconds.
const TOKEN_SECONDS: u32 = 3600;

/// Volumes, and where the sidecar has them.
pub(super) struct Volumes {
    pub(super) all: Vec<Value>,
    pub(super) mounts: Vec<Value>,
}

impl Volumes {
    pub(super) fn of(wanted: &Wanted, plan: &Plan) -> Self {
        let token = json!({ "serviceAccountToken": { "path": "token", "audience": plan.audience, "expirationSeconds": TOKEN_SECONDS } });
        let mut all = Self { all: Vec::new(), mounts: Vec::new() };
        all.put(TRUST_VOLUME, TRUST, "emptyDir", &json!({ "medium": "Memory", "sizeLimit": "8Mi" }));
        all.put("keygress-policy", "/etc/keygress/policy", "configMap", &json!({ "name": wanted.policy }));
        all.put("keygress-cluster", "/etc/keygress/cluster", "configMap", &json!({ "name": plan.cluster_config_map }));
        all.put("keygress-token", "/var/run/secrets/keygress", "projected", &json!({ "defaultMode": GROUP_READS, "sources": [token] }));
        if let Some(config) = &wanted.config {
            all.put("keygress-config", "/etc/keygress/proxy", "configMap", &json!({ "name": config }));
        }
        for (number, secret) in wanted.secrets.iter().enumerate() {
            let source = json!({ "secretName": secret, "defaultMode": GROUP_READS });
            all.put(&format!("keygress-secret-{number}"), &format!("/run/secrets/{secret}"), "secret", &source);
        }
        all
    }

    fn put(&mut self, name: &str, path: &str, kind: &str, source: &Value) {
        self.all.push(json!({ "name": name, kind: source }));
        self.mounts.push(if name == TRUST_VOLUME {
            json!({ "name": name, "mountPath": path })
        } else {
            json!({ "name": name, "mountPath": path, "readOnly": true })
        });
    }
}

/// The sidecar: an init container that goes on, so that it is there before the others and a Job ends without it.
pub(super) fn sidecar(wanted: &Wanted, plan: &Plan, mounts: Vec<Value>) -> Value {
    let mut variables = vec![
        ("KEYGRESS_AUDIT", "stdout".to_owned()),
        ("KEYGRESS_CA_FOLDER", TRUST.to_owned()),
        ("KEYGRESS_KUBERNETES_AUDIENCE", plan.audience.clone()),
        ("KEYGRESS_KUBERNETES_ISSUER", plan.issuer.clone()),
        ("KEYGRESS_KUBERNETES_JWKS", "/etc/keygress/cluster/jwks.json".to_owned()),
        ("KEYGRESS_KUBERNETES_TOKEN", "/var/run/secrets/keygress/token".to_owned()),
        ("KEYGRESS_LISTEN", format!("127.0.0.1:{PORT}")),
        ("KEYGRESS_METRICS", format!("0.0.0.0:{METRICS_PORT}")),
        ("KEYGRESS_POLICY", "/etc/keygress/policy".to_owned()),
    ];
    if wanted.config.is_some() {
        variables.push(("KEYGRESS_CONFIG", "/etc/keygress/proxy/proxy.yaml".to_owned()));
    }
    if wanted.capture {
        variables.push(("KEYGRESS_TRANSPARENT", plan.transparent()));
    }
    let variables: Vec<_> = variables.into_iter().map(|(name, value)| json!({ "name": name, "value": value })).collect();
    let probe = |path: &str, period: u32, failures: u32| {
        let get = json!({ "path": path, "port": METRICS_PORT });
        json!({ "httpGet": get, "periodSeconds": period, "timeoutSeconds": 3, "failureThreshold": failures })
    };
    json!({
        "name": SIDECAR,
        "image": plan.image,
        "args": ["serve"],
        "restartPolicy": "Always",
        "env": variables,
        "ports": [{ "name": "keygress", "containerPort": METRICS_PORT }],
        "startupProbe": probe("/readyz", 1, 120),
        "readinessProbe": probe("/readyz", 5, 3),
        "livenessProbe": probe("/healthz", 10, 6),
        "resources": { "requests": { "cpu": plan.cpu, "memory": plan.memory }, "limits": { "memory": plan.memory_limit } },
        "securityContext": {
            "runAsUser": plan.user,
            // The group that owns what the kubelet mounts.
            "runAsGroup": 0,
            "runAsNonRoot": true,
            "allowPrivilegeEscalation": false,
            "readOnlyRootFilesystem": true,
            "capabilities": { "drop": ["ALL"] },
            "seccompProfile": { "type": "RuntimeDefault" }
        },
        "volumeMounts": mounts
    })
}

/// The container that brings the connections of all others to the sidecar, and ends.
pub(super) fn capture(plan: &Plan) -> Value {
    json!({
        "name": CAPTURE,
        "image": plan.net_image,
        "args": ["net", "up", "--user", plan.user.to_string(), "--to", CAPTURED_PORT.to_string()],
        "resources": { "requests": { "cpu": "10m", "memory": "16Mi" }, "limits": { "memory": "64Mi" } },
        "securityContext": {
            "runAsUser": 0,
            "runAsGroup": 0,
            "runAsNonRoot": false,
            "allowPrivilegeEscalation": false,
            "readOnlyRootFilesystem": true,
            "capabilities": { "drop": ["ALL"], "add": ["NET_ADMIN"] },
            "seccompProfile": { "type": "RuntimeDefault" }
        }
    })
}
