//! Calls whose answer *is* a new credential: what carries it away holds it, whatever the policy says of the next call. They are
//! refused where a rule puts a credential on, even where a pattern of the rule would allow them; to allow one, a rule names it in full.
//!
//! A closed list: those of the presets at their hosts, those of clouds at theirs, and those of servers that are run anywhere.

use std::sync::LazyLock;

use crate::destination::{Host, HostPattern, RequestPattern, Segment, SlashInSegment};
use crate::preset::{self, Preset};

/// Servers that are run under any name: OpenBao and Vault, GitHub Enterprise, Kubernetes, and whoever speaks OAuth 2.0.
const ANYWHERE: &[&str] = &[
    "* /v1/auth/token/create",
    "* /v1/auth/token/create-orphan",
    "* /v1/auth/token/create/{role}",
    "* /v1/auth/{mount}/login",
    "* /v1/auth/{mount}/login/{user}",
    "* /v1/auth/{mount}/role/{role}/secret-id",
    "* /v1/identity/oidc/token/{role}",
    "* /v1/sys/wrapping/unwrap",
    "* /v1/{mount}/creds/{role}",
    "* /v1/{mount}/issue/{role}",
    "* /v1/{mount}/sts/{role}",
    "POST /api/v1/namespaces/{namespace}/serviceaccounts/{account}/token",
    "POST /api/v3/app/installations/{installation}/access_tokens",
    "POST /app/installations/{installation}/access_tokens",
    "POST /connect/token",
    "POST /oauth/access_token",
    "POST /oauth/token",
    "POST /oauth2/token",
    "POST /oauth2/v1/token",
    "POST /realms/{realm}/protocol/openid-connect/token",
];

/// Clouds, whose hosts belong to no preset. A segment `{!name}` must be spelled out by the rule that allows it: what is asked for stands in it.
const CLOUDS: &[(&str, &[&str])] = &[
    ("iamcredentials.googleapis.com", &["POST /v1/projects/{project}/serviceAccounts/{!account}"]),
    ("iam.googleapis.com", &["POST /v1/projects/{project}/serviceAccounts/{account}/keys"]),
    ("oauth2.googleapis.com", &["POST /token"]),
    ("sts.googleapis.com", &["POST /v1/token", "POST /v1beta/token"]),
    (
        "apikeys.googleapis.com",
        &["POST /v2/projects/{project}/locations/{location}/keys", "GET /v2/projects/{project}/locations/{location}/keys/{key}/keyString"],
    ),
    ("login.microsoftonline.com", &["POST /{tenant}/oauth2/v2.0/token", "POST /{tenant}/oauth2/token"]),
    (
        "graph.microsoft.com",
        &[
            "POST /v1.0/applications/{application}/addPassword",
            "POST /v1.0/applications/{application}/addKey",
            "POST /v1.0/servicePrincipals/{principal}/addPassword",
            "POST /v1.0/servicePrincipals/{principal}/addKey",
            "POST /beta/applications/{application}/addPassword",
            "POST /beta/servicePrincipals/{principal}/addPassword",
        ],
    ),
    (
        "management.azure.com",
        &[
            "POST /subscriptions/{subscription}/resourceGroups/{group}/providers/{namespace}/{kind}/{name}/listKeys",
            "POST /subscriptions/{subscription}/resourceGroups/{group}/providers/{namespace}/{kind}/{name}/regenerateKey",
            "POST /subscriptions/{subscription}/resourceGroups/{group}/providers/{namespace}/{kind}/{name}/listCredentials",
        ],
    ),
    ("auth.atlassian.com", &["POST /oauth/token"]),
    ("auth.docker.io", &["GET /token", "POST /token"]),
    ("pypi.org", &["POST /_/oidc/mint-token"]),
    ("github.com", &["POST /login/oauth/access_token"]),
    ("bitbucket.org", &["POST /site/oauth2/access_token"]),
];

/// The lists, read once: every rule that puts a credential on is held against them.
static LISTS: LazyLock<Lists> = LazyLock::new(Lists::read);

struct Lists {
    anywhere: Vec<Mint>,
    clouds: Vec<(HostPattern, Vec<Mint>)>,
    /// Name of a preset, its hosts, what mints there.
    presets: Vec<(&'static str, Vec<HostPattern>, Vec<Mint>)>,
}

impl Lists {
    fn read() -> Self {
        // A test reads every line of the lists.
        let mints = |requests: &[&'static str]| requests.iter().filter_map(|request| Mint::parse(request)).collect();
        let host = |pattern: &&str| HostPattern::parse(pattern).ok();
        Self {
            anywhere: mints(ANYWHERE),
            clouds: CLOUDS.iter().filter_map(|(pattern, requests)| Some((host(pattern)?, mints(requests)))).collect(),
            presets: preset::lists()
                .map(|preset| (preset.name, preset.hosts.iter().filter_map(host).collect(), mints(preset.mints)))
                .collect(),
        }
    }
}

/// One request whose answer is a credential.
#[derive(Debug)]
pub(crate) struct Mint {
    request: &'static str,
    /// Its own path, and the same with a slash at the end, which many servers take for the same.
    patterns: [RequestPattern; 2],
    /// Positions of the segments that a rule must spell out although they are free here.
    spelled: Vec<usize>,
}

/// What mints at a host, for a credential of this preset.
pub(crate) fn at(host: &Host, preset: Option<&Preset>) -> Vec<&'static Mint> {
    let lists = &*LISTS;
    let clouds = lists.clouds.iter().filter(|(pattern, _)| pattern.matches(host)).flat_map(|(_, mints)| mints);
    let is_there = |name: &str, hosts: &[HostPattern]| {
        preset.is_some_and(|preset| preset.name == name) || hosts.iter().any(|pattern| pattern.matches(host))
    };
    let presets = lists.presets.iter().filter(|(name, hosts, _)| is_there(name, hosts)).flat_map(|(_, _, mints)| mints);
    let mut mints: Vec<&Mint> = Vec::new();
    for mint in lists.anywhere.iter().chain(clouds).chain(presets) {
        if !mints.iter().any(|known| known.request == mint.request) {
            mints.push(mint);
        }
    }
    mints
}

impl Mint {
    fn parse(request: &'static str) -> Option<Self> {
        let path = request.split_once(' ')?.1;
        let spelled = path.split('/').skip(1).enumerate().filter(|(_, segment)| segment.starts_with("{!")).map(|(at, _)| at).collect();
        // An encoded slash is a byte of its segment here: the path of a project at GitLab.
        let pattern = RequestPattern::parse(&request.replace("{!", "{"), SlashInSegment::Opaque).ok()?;
        let mut slashed = pattern.clone();
        let segments = slashed.path.segments.iter().cloned().chain([Segment::Literal(Box::default())]);
        slashed.path.segments = segments.collect();
        Some(Self { request, patterns: [pattern, slashed], spelled })
    }

    /// As it stands on the list.
    pub(crate) fn request(&self) -> &'static str {
        self.request
    }

    /// The requests that it is about.
    pub(crate) fn patterns(&self) -> &[RequestPattern; 2] {
        &self.patterns
    }

    /// Whether an entry of `allow` matches any of its requests.
    pub(crate) fn meets(&self, entry: &RequestPattern) -> bool {
        self.patterns.iter().any(|own| own.meets(entry))
    }

    /// Whether an entry names it in full: one method, no `**`, and nothing left open but what is open on the list.
    pub(crate) fn is_named_by(&self, entry: &RequestPattern) -> bool {
        let one_method = entry.methods.names().count() == 1;
        let literal = |at: &usize| matches!(entry.path.segments.get(*at), Some(Segment::Literal(_)));
        one_method && !entry.path.rest && self.covers(entry) && self.spelled.iter().all(literal)
    }

    /// Whether an entry matches nothing but requests of this kind.
    pub(crate) fn covers(&self, entry: &RequestPattern) -> bool {
        self.patterns.iter().any(|own| own.covers(entry))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mint(request: &'static str) -> Mint {
        Mint::parse(request).unwrap()
    }

    fn entry(text: &str) -> RequestPattern {
        RequestPattern::parse(text, SlashInSegment::Opaque).unwrap()
    }

    #[test]
    fn every_request_on_the_lists_can_be_read() {
        let clouds = CLOUDS.iter().flat_map(|(host, requests)| {
            assert!(HostPattern::parse(host).is_ok(), "{host}");
            *requests
        });
        for request in ANYWHERE.iter().chain(clouds).chain(preset::lists().flat_map(|preset| preset.mints)) {
            let mint = Mint::parse(request).unwrap_or_else(|| panic!("{request}"));
            let [pattern, _] = mint.patterns();
            assert!(pattern.methods.names().count() > 0 && !pattern.path.rest, "{request}");
        }
    }

    #[test]
    fn only_what_names_it_in_full_allows_it() {
        let mint = mint("POST /app/installations/{installation}/access_tokens");
        for named in [
            "POST /app/installations/{id}/access_tokens",
            "POST /app/installations/7/access_tokens",
            "POST /app/installations/7/access_tokens/",
        ] {
            assert!(mint.is_named_by(&entry(named)) && mint.meets(&entry(named)), "{named}");
        }
        for open in [
            "* /**",
            "POST /**",
            "POST /app/**",
            "POST /app/installations/{id}/**",
            "POST /app/installations/{id}/{what}",
            "POST /{a}/{b}/{c}/access_tokens",
            "* /app/installations/{id}/access_tokens",
            "* /app/installations/7/access_tokens",
        ] {
            assert!(!mint.is_named_by(&entry(open)) && mint.meets(&entry(open)), "{open}");
        }
        for other in ["GET /**", "POST /app", "POST /app/installations/{id}", "POST /app/installations/{id}/{what}/more"] {
            assert!(!mint.meets(&entry(other)), "{other}");
        }
    }

    #[test]
    fn what_is_asked_for_in_a_segment_must_be_spelled_out() {
        let mint = mint("POST /v1/projects/{project}/serviceAccounts/{!account}");
        assert!(mint.is_named_by(&entry("POST /v1/projects/-/serviceAccounts/a@p.iam.gserviceaccount.com:generateAccessToken")));
        assert!(mint.is_named_by(&entry("POST /v1/projects/{p}/serviceAccounts/a:signJwt")));
        assert!(!mint.is_named_by(&entry("POST /v1/projects/-/serviceAccounts/{account}")));
    }

    #[test]
    fn a_host_has_its_own_and_those_of_servers_that_are_run_anywhere() {
        let requests = |host: &str, preset: Option<&Preset>| -> Vec<&'static str> {
            at(&Host::parse(host).unwrap(), preset).into_iter().map(Mint::request).collect()
        };
        let anywhere = requests("bao.example.com", None);
        assert_eq!(anywhere, ANYWHERE);
        let github = "PATCH /applications/{client}/token";
        assert!(!anywhere.contains(&github) && requests("api.github.com", None).contains(&github));
        assert!(requests("ghe.example.com", preset::find("github")).contains(&github));
        assert!(requests("iam.twilio.com", None).contains(&"POST /v1/Keys"));
        let mut all = requests("api.github.com", preset::find("github"));
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count, "each stands there once");
    }
}
