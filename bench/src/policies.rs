//! Policies of any size, made from a number.

use std::net::SocketAddr;
use std::path::Path;

/// How many rules one file holds: a file of a policy is at most 8 MiB.
const RULES_IN_A_FILE: usize = 20_000;

/// The files of a policy of `rules` rules, all with a credential, on `hosts` hosts; one in ten has an `except`.
#[must_use]
pub fn policy_of(rules: usize, hosts: usize) -> Vec<String> {
    let hosts = hosts.clamp(1, rules.max(1));
    let head = format!(
        "version: 1\n\
         workloads:\n  app: {{ process: {{ user: app }} }}\n{}",
        credential("{ environment: KEY }", "bearer", &names(hosts).join(", "))
    );
    with_rules(head, rules, hosts)
}

/// What a measured request finds in its policy.
#[derive(Clone, Copy, Debug)]
pub struct Measured<'m> {
    /// Who calls.
    pub uid: u32,
    /// Host and port of the upstream, on loopback.
    pub upstream: &'m str,
    /// The file that holds the token.
    pub token_file: &'m Path,
    /// How the token goes on the wire; `None`: the measured rule has no credential.
    pub inject: Option<&'m str>,
    /// Further keys of the measured rule, each `key: value`.
    pub keys: &'m [&'m str],
}

impl Measured<'_> {
    /// The files of a policy of `rules` rules: `measured`, which lets the caller do anything to the upstream with the credential in the file,
    /// and the others of [`policy_of`].
    #[must_use]
    pub fn policy(&self, rules: usize) -> Vec<String> {
        let others = rules.saturating_sub(1);
        let hosts = (others / 10).clamp(1, 10_000);
        let host = self.upstream.rsplit_once(':').map_or(self.upstream, |(host, _)| host);
        let mut only_to = names(if others == 0 { 0 } else { hosts });
        only_to.push(host.to_owned());
        let source = format!("{{ file: \"{}\" }}", self.token_file.display());
        let head = format!(
            "version: 1\n\
             workloads:\n  app: {{ process: {{ uid: {uid} }} }}\n{credential}\
             rules:\n  measured:\n    from: [app]\n    to: https://{upstream}\n    allow: [GET /**, POST /**]\n    \
             allow_ips: [127.0.0.1, \"::1/128\"]\n    route: measured\n{attached}{keys}",
            uid = self.uid,
            credential = credential(&source, self.inject.unwrap_or("bearer"), &only_to.join(", ")),
            upstream = self.upstream,
            attached = if self.inject.is_some() { "    credential: key\n" } else { "" },
            keys = self.keys.iter().map(|key| format!("    {key}\n")).collect::<String>(),
        );
        with_rules(head, others, hosts)
    }
}

/// A policy of many credentials that renew at one issuer: rule `N` lets the caller get `/size/N` with credential `N`.
#[derive(Clone, Copy, Debug)]
pub struct Fleet<'f> {
    /// Who calls.
    pub uid: u32,
    /// Host and port of the upstream, on loopback.
    pub upstream: &'f str,
    /// Host and port of the issuer, on loopback, without TLS.
    pub issuer: SocketAddr,
    /// The file that holds the client secret.
    pub secret_file: &'f Path,
    /// How many.
    pub credentials: u64,
}

impl Fleet<'_> {
    /// The files of the policy.
    #[must_use]
    pub fn policy(&self) -> Vec<String> {
        let host = self.upstream.rsplit_once(':').map_or(self.upstream, |(host, _)| host);
        let credential = |number: u64| {
            format!(
                "  c-{number}:\n    owner: team@example.com\n    source:\n      oauth2_client_credentials:\n        \
                 token_url: http://{issuer}/token\n        revocation_url: http://{issuer}/revoke\n        client_id: sidecar-{number}\n        \
                 client_secret: {{ file: \"{secret}\" }}\n    inject: bearer\n    only_to: [{host}]\n",
                issuer = self.issuer,
                secret = self.secret_file.display(),
            )
        };
        let rule = |number: u64| {
            format!(
                "  r-{number}: {{ from: [app], to: \"https://{}\", allow: [GET /size/{number}], credential: c-{number}, allow_ips: [127.0.0.1, \"::1/128\"] }}\n",
                self.upstream
            )
        };
        vec![
            format!("version: 1\nworkloads:\n  app: {{ process: {{ uid: {} }} }}\n", self.uid),
            format!("version: 1\ncredentials:\n{}", (1..=self.credentials).map(credential).collect::<String>()),
            format!("version: 1\nrules:\n{}", (1..=self.credentials).map(rule).collect::<String>()),
        ]
    }
}

fn names(hosts: usize) -> Vec<String> {
    (0..hosts).map(|host| format!("api-{host}.example.com")).collect()
}

fn credential(source: &str, inject: &str, only_to: &str) -> String {
    format!(
        "credentials:\n  key:\n    owner: team@example.com\n    static: {{ reason: bench, expires: 2099-01-01 }}\n    \
         source: {source}\n    inject: {inject}\n    only_to: [{only_to}]\n"
    )
}

fn with_rules(head: String, rules: usize, hosts: usize) -> Vec<String> {
    let mut files = vec![head];
    let numbers: Vec<usize> = (0..rules).collect();
    for chunk in numbers.chunks(RULES_IN_A_FILE) {
        files.push(format!("version: 1\nrules:\n{}", chunk.iter().map(|rule| rule_of(*rule, hosts)).collect::<String>()));
    }
    files
}

fn rule_of(rule: usize, hosts: usize) -> String {
    let except = if rule.is_multiple_of(10) { format!("    except: [GET /v1/things-{rule}/secret]\n") } else { String::new() };
    format!(
        "  rule-{rule}:\n    from: [app]\n    to: https://api-{}.example.com\n    \
         allow: [\"GET /v1/things-{rule}/{{id}}\", POST /v1/things-{rule}]\n    credential: key\n{except}",
        rule % hosts
    )
}
