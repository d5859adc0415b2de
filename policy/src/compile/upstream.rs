use std::collections::{BTreeMap, HashMap, HashSet};

use ipnet::IpNet;

use super::check::{Check, Named};
use super::rules::Pieces;
use super::{Route, Rule};
use crate::destination::{Host, HostPattern, Scheme, parse_port};
use crate::document::RuleEntry;
use crate::problem::Problem;

/// Scheme, host and port of a rule.
#[derive(Clone)]
pub(super) struct Upstream {
    pub(super) scheme: Scheme,
    pub(super) host: HostPattern,
    pub(super) port: u16,
    pub(super) allow_ips: Vec<IpNet>,
    pub(super) raise_to_https: bool,
}

/// Parses `to` and checks the keys that weaken or bend it.
pub(super) fn upstream(named: &Named<RuleEntry>, check: &mut Check) -> Option<Upstream> {
    let allow_ips = allow_ips(named, check);
    let (scheme, host, port) = destination(named, check)?;
    let sound = [check_wildcard(named, &host, check), check_plaintext(named, scheme, check), check_raise(named, scheme, port, check)];
    let raise_to_https = named.entry.raise_to_https.as_ref().is_some_and(|raise| raise.value);
    let allow_ips = allow_ips?;
    sound.iter().all(|sound| *sound).then_some(Upstream { scheme, host, port, allow_ips, raise_to_https })
}

fn destination(named: &Named<RuleEntry>, check: &mut Check) -> Option<(Scheme, HostPattern, u16)> {
    let to = &named.entry.to;
    let place = named.at(to);
    let (scheme, authority) = match to.value.split_once("://") {
        Some(("https", authority)) => (Scheme::Https, authority),
        Some(("http", authority)) => (Scheme::Http, authority),
        Some((other, _)) => {
            check.error("bad_destination", place, format!("`{other}` is not a scheme that keygress sends to"), "write `https://host`");
            return None;
        }
        None => {
            check.error("bad_destination", place, format!("`{}` has no scheme", to.value), format!("write `https://{}`", to.value));
            return None;
        }
    };
    if let Some((host, _)) = authority.split_once('/') {
        check.error(
            "bad_destination",
            place,
            format!("`{}` has a path", to.value),
            format!("write `{}://{host}`, and paths under `allow`, as in `GET /path/**`", scheme.as_str()),
        );
        return None;
    }
    match parse_destination(authority) {
        Ok((host, port)) => Some((scheme, host, port.unwrap_or(scheme.default_port()))),
        Err(problem) => {
            check.error(
                "bad_destination",
                place,
                format!("`{authority}` is not a destination: {problem}"),
                "write a host and, where it is not the usual one, a port: `https://api.example.com:8443`",
            );
            None
        }
    }
}

/// `host[:port]`, where the host may be a wildcard.
fn parse_destination(authority: &str) -> Result<(HostPattern, Option<u16>), &'static str> {
    if let Some(suffix) = authority.strip_prefix("*.") {
        let (suffix, port) = suffix.split_once(':').map_or((suffix, None), |(suffix, port)| (suffix, Some(port)));
        return Ok((HostPattern::parse(&format!("*.{suffix}"))?, port.map(parse_port).transpose()?));
    }
    if authority.contains('*') {
        return HostPattern::parse(authority).map(|host| (host, None));
    }
    let (host, port) = crate::destination::parse_authority(authority)?;
    Ok((HostPattern::Exact(host), port))
}

fn check_wildcard(named: &Named<RuleEntry>, host: &HostPattern, check: &mut Check) -> bool {
    if matches!(host, HostPattern::Exact(_)) {
        return true;
    }
    let mut sound = true;
    if host.spans_public_suffix() {
        check.error(
            "public_suffix",
            named.at(&named.entry.to),
            format!("`{host}` spans a public suffix: its hosts belong to many owners"),
            "name the hosts of one owner, such as `*.example.com`",
        );
        sound = false;
    }
    let exact_only = [
        ("credential", named.entry.credential.as_ref().map(|at| named.at(at)), "wildcard_credential"),
        ("allow_ips", named.entry.allow_ips.as_ref().map(|at| named.at(at)), "wildcard_allow_ips"),
        ("route", named.entry.route.as_ref().map(|at| named.at(at)), "wildcard_route"),
    ];
    for (key, place, code) in exact_only {
        let Some(place) = place else { continue };
        check.error(
            code,
            place,
            format!("rule `{}` has `{key}` but goes to the wildcard `{host}`", named.name),
            format!("write one rule for each exact host, or remove `{key}`"),
        );
        sound = false;
    }
    sound
}

fn check_plaintext(named: &Named<RuleEntry>, scheme: Scheme, check: &mut Check) -> bool {
    let accepted = named.entry.unsafe_plaintext.as_ref().is_some_and(|unsafe_plaintext| unsafe_plaintext.value);
    match (scheme, &named.entry.unsafe_plaintext) {
        (Scheme::Http, _) if !accepted => {
            check.error(
                "plaintext",
                named.at(&named.entry.to),
                format!("rule `{}` sends in plaintext", named.name),
                "write `https://`; where there is no TLS to be had, say `unsafe_plaintext: true`",
            );
            false
        }
        (Scheme::Http, _) if named.entry.allow_ips.is_none() && named.entry.credential.is_some() => {
            check.error(
                "plaintext_credential",
                named.at(&named.entry.to),
                format!("rule `{}` sends a credential in plaintext to whoever answers", named.name),
                "list the addresses of the host under `allow_ips`, or write `https://`",
            );
            false
        }
        (Scheme::Https, Some(key)) if key.value => {
            check.error(
                "needless_unsafe",
                named.at(key),
                format!("rule `{}` goes to `https`: `unsafe_plaintext` weakens nothing", named.name),
                "remove `unsafe_plaintext`",
            );
            false
        }
        (Scheme::Http | Scheme::Https, _) => true,
    }
}

fn check_raise(named: &Named<RuleEntry>, scheme: Scheme, port: u16, check: &mut Check) -> bool {
    let Some(raise) = named.entry.raise_to_https.as_ref().filter(|raise| raise.value) else { return true };
    let sound = scheme == Scheme::Https && port == Scheme::Https.default_port();
    if !sound {
        check.error(
            "bad_raise",
            named.at(raise),
            format!("rule `{}` raises `http` to what is not `https` on port 443", named.name),
            "remove `raise_to_https`, or send to `https://host`",
        );
    }
    sound
}

fn allow_ips(named: &Named<RuleEntry>, check: &mut Check) -> Option<Vec<IpNet>> {
    let Some(list) = &named.entry.allow_ips else { return Some(Vec::new()) };
    if list.value.is_empty() {
        check.error("empty_list", named.at(list), "`allow_ips` lists nothing", "list networks, as in `[10.0.0.0/8]`, or remove the key");
        return None;
    }
    let mut networks = Vec::new();
    for item in &list.value {
        let parsed = item.value.parse::<IpNet>().or_else(|_| item.value.parse().map(|ip: std::net::IpAddr| IpNet::from(ip)));
        match parsed {
            Ok(network) if network.trunc() != network => {
                check.error(
                    "bad_network",
                    named.at(item),
                    format!("`{network}` has bits beyond its prefix"),
                    format!("write `{}`, or `{}` for the one address", network.trunc(), network.addr()),
                );
            }
            Ok(network) if is_link_local(network) => {
                check.error(
                    "link_local",
                    named.at(item),
                    format!("`{network}` is link-local: metadata services live there"),
                    "no rule may reach it; use the provider that reads that service",
                );
            }
            Ok(network) => networks.push(network),
            Err(_) => check.error(
                "bad_network",
                named.at(item),
                format!("`{}` is not a network", item.value),
                "write an address or a network: `127.0.0.1`, `10.0.0.0/8`, `fd00::/8`",
            ),
        }
    }
    (networks.len() == list.value.len()).then_some(networks)
}

fn is_link_local(network: IpNet) -> bool {
    match network {
        IpNet::V4(network) => network.addr().is_link_local(),
        IpNet::V6(network) => network.addr().is_unicast_link_local(),
    }
}

/// The base-URL routes: every exact host by name, and the aliases.
pub(super) fn routes(rules: &[Rule], pieces: &[Pieces], check: &mut Check) -> HashMap<String, Route> {
    let mut routes: HashMap<String, Route> = HashMap::new();
    let mut seen = HashSet::new();
    // Of rules that differ by their scheme alone the last by name has the port. Many rules share a destination: it is written out once.
    for rule in rules.iter().rev().filter(|rule| seen.insert((rule.scheme, &rule.host, rule.port))) {
        let Some(route) = route(rule) else { continue };
        routes.entry(format!("{}:{}", route.host, route.port)).or_insert_with(|| route.clone());
        let by_host = routes.entry(route.host.to_string()).or_insert_with(|| route.clone());
        if preference(&route) < preference(by_host) {
            *by_host = route;
        }
    }
    let mut aliases: BTreeMap<&str, (&Rule, &Pieces)> = BTreeMap::new();
    for (rule, pieces) in rules.iter().zip(pieces) {
        let (Some((alias, place)), Some(route)) = (&pieces.route, route(rule)) else { continue };
        let known = routes.insert(alias.clone(), route.clone()).filter(|known| *known != route);
        if let (Some(known), Some((other, first))) = (known, aliases.get(alias.as_str())) {
            let message = format!(
                "the route `{alias}` leads to `{}` in rule `{}` and to `{}` in rule `{}`",
                known.host, other.name, route.host, rule.name
            );
            let problem = Problem::error(
                "duplicate_route",
                *place,
                crate::problem::Complaint::new(message, "give each destination a route of its own"),
            );
            check.push(first.route.iter().fold(problem, |problem, (_, place)| problem.related(*place, "first named here")));
        }
        aliases.insert(alias, (rule, pieces));
    }
    routes
}

fn route(rule: &Rule) -> Option<Route> {
    match &rule.host {
        HostPattern::Exact(host) => Some(Route { scheme: rule.scheme, host: Host::clone(host), port: rule.port }),
        HostPattern::Under(_) => None,
    }
}

/// Of several ports of one host, its name alone means `https` on 443, then the lowest.
fn preference(route: &Route) -> (bool, bool, u16) {
    (route.port != Scheme::Https.default_port(), route.scheme != Scheme::Https, route.port)
}
