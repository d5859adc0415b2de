use std::collections::BTreeMap;
use std::path::Path;

/// Where keygress listens in a pod.
pub(super) const PORT: u16 = 8787;

/// Where it takes what was captured.
pub(super) const CAPTURED_PORT: u16 = 8788;

/// Where it answers probes and Prometheus.
pub(super) const METRICS_PORT: u16 = 8790;

/// The folder in which the containers find what they trust.
pub(super) const TRUST: &str = "/run/keygress";

/// How keygress is added to pods. What a pod wants otherwise it says by annotations.
#[derive(Clone, Debug, clap::Args)]
pub struct Plan {
    /// The image of the sidecar.
    #[arg(long, value_name = "IMAGE", env = "KEYGRESS_INJECT_IMAGE", default_value = concat!("keygress:", env!("CARGO_PKG_VERSION")))]
    pub image: String,
    /// The image of the container that makes the capture rules: keygress and `nft` (`docker build --target net`).
    #[arg(long, value_name = "IMAGE", env = "KEYGRESS_INJECT_NET_IMAGE", default_value = concat!("keygress-net:", env!("CARGO_PKG_VERSION")))]
    pub net_image: String,
    /// The user that the sidecar runs as, which no other container of the pod may have.
    #[arg(long, value_name = "UID", env = "KEYGRESS_INJECT_USER", default_value_t = 18787, value_parser = clap::value_parser!(u32).range(1..))]
    pub user: u32,
    /// The ConfigMap, in the namespace of the pod, that holds the policy; the annotation `keygress.dev/policy` names another.
    #[arg(long, value_name = "NAME", env = "KEYGRESS_INJECT_POLICY", default_value = "keygress-policy")]
    pub policy_config_map: String,
    /// The ConfigMap, in the namespace of the pod, whose `jwks.json` holds the keys of the cluster's issuer.
    #[arg(long, value_name = "NAME", env = "KEYGRESS_INJECT_CLUSTER", default_value = "keygress-cluster")]
    pub cluster_config_map: String,
    /// The issuer of the cluster's service-account tokens (`kubectl get --raw /.well-known/openid-configuration`).
    #[arg(long, value_name = "URL", env = "KEYGRESS_KUBERNETES_ISSUER", default_value = "https://kubernetes.default.svc.cluster.local")]
    pub issuer: String,
    /// The audience of the token by which the pod proves itself to its sidecar.
    #[arg(long, value_name = "NAME", env = "KEYGRESS_KUBERNETES_AUDIENCE", default_value = "keygress")]
    pub audience: String,
    /// Bring no connections to keygress that do not come by themselves: the containers get proxy variables in place of capture. Pods may say so
    /// one by one (`keygress.dev/capture: "false"`).
    #[arg(long, env = "KEYGRESS_INJECT_NO_CAPTURE")]
    pub no_capture: bool,
    /// Capture IPv4 alone, in clusters whose pods have no `::1`.
    #[arg(long, env = "KEYGRESS_INJECT_IPV4_ONLY")]
    pub ipv4_only: bool,
    /// The CPU that the sidecar requests.
    #[arg(long, value_name = "QUANTITY", env = "KEYGRESS_INJECT_CPU", default_value = "10m")]
    pub cpu: String,
    /// The memory that the sidecar requests.
    #[arg(long, value_name = "QUANTITY", env = "KEYGRESS_INJECT_MEMORY", default_value = "32Mi")]
    pub memory: String,
    /// The memory that it may have at most.
    #[arg(long, value_name = "QUANTITY", env = "KEYGRESS_INJECT_MEMORY_LIMIT", default_value = "128Mi")]
    pub memory_limit: String,
    /// Variable → placeholder, for every pod; a pod names others in `keygress.dev/placeholders`.
    #[arg(skip)]
    pub placeholders: BTreeMap<String, String>,
}

impl Plan {
    pub(super) fn trust(&self) -> &Path {
        Path::new(TRUST)
    }

    pub(super) fn transparent(&self) -> String {
        let v4 = format!("127.0.0.1:{CAPTURED_PORT}");
        if self.ipv4_only { v4 } else { format!("{v4},[::1]:{CAPTURED_PORT}") }
    }
}

/// A value that has the vendor's shape and opens nothing; the same each time, so that a pod that is looked at twice stays as it is.
#[must_use]
pub fn placeholder(like: &str) -> String {
    format!("{like}keygress-placeholder-0000000000")
}
