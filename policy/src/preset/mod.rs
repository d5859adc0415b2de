//! Presets: what keygress knows of vendors' APIs. Data, and nothing that acts.

/// Models and what is built around them.
mod models;

/// Forges, registries, builds.
mod code;

/// Hosting, networks, observability.
mod operations;

/// Payments, mail, chat, work.
mod business;

/// Platforms that federate: what takes the place of a static key there.
mod federation;

/// What keys look like where they lie about.
pub mod shape;

use serde::Serialize;

pub use federation::{Federation, instead_of};

/// One vendor's API: where it is, where its key goes, what a key looks like, and which of its calls answer with a credential.
#[derive(Debug, Serialize)]
pub struct Preset {
    /// The word for it in a policy.
    pub name: &'static str,
    /// The vendor, and which of its APIs.
    pub vendor: &'static str,
    /// The hosts of the API: the `only_to` of a credential that names none.
    pub hosts: &'static [&'static str],
    /// Whether it is also run elsewhere.
    pub hosting: Hosting,
    /// The `inject` of a credential that names none, as the policy spells it.
    pub inject: &'static str,
    /// The environment variable in which the vendor's own tools look for a key.
    pub env: &'static str,
    /// What a key begins with; empty where there is nothing.
    pub like: &'static str,
    /// How many letters and digits follow.
    pub length: usize,
    /// Requests whose answer is a credential: refused unless a rule names them in full.
    pub mints: &'static [&'static str],
    /// The vendor's own page on it.
    pub page: &'static str,
}

/// Whether an API is run by its vendor alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Hosting {
    /// It is: a credential of this preset goes to these hosts or to fewer.
    Vendor,
    /// Others run it too: `only_to` may name their hosts.
    Anywhere,
}

/// Every preset, by name.
#[must_use]
pub fn all() -> Vec<&'static Preset> {
    let mut all: Vec<_> = lists().collect();
    all.sort_by_key(|preset| preset.name);
    all
}

impl Preset {
    /// What its keys look like.
    pub fn shapes(&self) -> impl Iterator<Item = &'static shape::Shape> {
        shape::SHAPES.iter().filter(|shape| shape.presets.contains(&self.name))
    }
}

/// The preset of this name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Preset> {
    lists().find(|preset| preset.name == name)
}

pub(crate) fn lists() -> impl Iterator<Item = &'static Preset> {
    [models::PRESETS, code::PRESETS, operations::PRESETS, business::PRESETS].into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;
    use crate::destination::{Host, HostPattern};
    use crate::inject::{Injection, Shape, strip};
    use crate::minting;

    fn injection(preset: &Preset) -> Injection {
        let shape: Shape = serde_saphyr::from_str(preset.inject).unwrap_or_else(|error| panic!("{}: {error}", preset.name));
        Injection::compile(&shape).unwrap_or_else(|complaint| panic!("{}: {complaint:?}", preset.name))
    }

    #[test]
    fn there_are_many_and_each_is_there_once() {
        let names: Vec<_> = all().iter().map(|preset| preset.name).collect();
        assert!(names.len() >= 40, "{}", names.len());
        assert!(names.windows(2).all(|pair| pair[0] < pair[1]), "{names:?}");
        let plain = |name: &&str| name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
        assert!(names.iter().all(plain));
        assert!(names.iter().all(|name| find(name).is_some_and(|preset| preset.name == *name)));
        assert!(find("nobody").is_none());
    }

    #[test]
    fn every_host_is_one_and_none_spans_more_than_its_owner() {
        for preset in all() {
            assert!(!preset.hosts.is_empty(), "{}", preset.name);
            for host in preset.hosts {
                let host = HostPattern::parse(host).unwrap_or_else(|why| panic!("{}: {host}: {why}", preset.name));
                assert!(!host.spans_registry(), "{}: {host}", preset.name);
            }
        }
    }

    #[test]
    fn every_slot_is_one_that_an_injection_fills() {
        for preset in all() {
            let injection = injection(preset);
            let host = preset.hosts[0].trim_start_matches("*.");
            assert_eq!(injection.misplaced(host), None, "{}", preset.name);
        }
    }

    /// What the application holds itself is stripped where keygress puts nothing on: every slot of a preset is on the closed list.
    #[test]
    fn every_slot_is_stripped_where_nothing_is_put_on_it() {
        for preset in all() {
            let injection = injection(preset);
            let query =
                injection.owns_query_key("key").then_some("key").or(injection.owns_query_key("access_token").then_some("access_token"));
            let uri = query.map_or("/p".to_owned(), |key| format!("/p?{key}={}x", preset.like));
            let mut head = Request::builder().uri(uri).body(()).unwrap().into_parts().0;
            let headers = HEADERS.iter().map(|name| http::HeaderName::from_static(name)).filter(|name| injection.owns_header(name));
            let headers: Vec<_> = headers.collect();
            for header in &headers {
                head.headers.insert(header, "mine".parse().unwrap());
            }
            assert!(query.is_some() || !headers.is_empty() || injection.kind() == "path_segment", "{}: no slot was found", preset.name);
            strip(&mut head, &[], None);
            assert_eq!((head.uri.query(), head.headers.len()), (None, 0), "{}", preset.name);
        }
    }

    /// The headers of the presets' slots, read from their data.
    const HEADERS: [&str; 14] = [
        "x-algolia-api-key",
        "authorization",
        "api-key",
        "x-api-key",
        "x-goog-api-key",
        "xi-api-key",
        "private-token",
        "circle-token",
        "dd-api-key",
        "fastly-key",
        "x-honeycomb-team",
        "x-figma-token",
        "x-postmark-server-token",
        "x-shopify-access-token",
    ];

    #[test]
    fn a_key_has_a_shape_that_can_stand_in_a_variable() {
        for preset in all() {
            assert!(preset.like.bytes().all(|byte| byte.is_ascii_graphic()), "{}", preset.name);
            assert!((16..=256).contains(&(preset.length)), "{}: a stand-in of {} characters", preset.name, preset.length);
            let variable = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
            assert!(!preset.env.is_empty() && preset.env.bytes().all(variable), "{}", preset.name);
        }
    }

    #[test]
    fn every_minting_endpoint_is_a_request_and_is_found_at_its_host() {
        for preset in all() {
            let host = preset.hosts[0].replace("*.", "tenant.");
            let host = Host::parse(&host).unwrap_or_else(|why| panic!("{}: {why}", preset.name));
            let known = minting::at(&host, None);
            for request in preset.mints {
                assert!(known.iter().any(|mint| mint.request() == *request), "{}: {request}", preset.name);
            }
        }
    }

    #[test]
    fn every_preset_says_where_its_vendor_describes_it() {
        for preset in all() {
            assert!(preset.page.starts_with("https://") && Host::parse(preset.page.split('/').nth(2).unwrap()).is_ok(), "{}", preset.name);
            assert!(!preset.vendor.is_empty());
        }
    }
}
