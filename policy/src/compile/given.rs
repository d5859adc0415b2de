use super::check::{Check, Named};
use super::{Placeholder, Source};
use crate::destination::HostPattern;
use crate::document::{At, CredentialEntry, PlaceholderEntry};
use crate::inject::{Injection, Shape};
use crate::preset::{self, Hosting, Preset};
use crate::problem::one_of;

/// Random letters and digits after the prefix of a placeholder whose vendor is not known: 190 bits.
const PLACEHOLDER_LENGTH: usize = 32;

/// The preset that a credential names. `None` where there is none of that name; `Some(None)` where it names none.
pub(super) fn preset<S>(named: &Named<CredentialEntry<S>>, check: &mut Check) -> Option<Option<&'static Preset>> {
    let Some(name) = &named.entry.preset else { return Some(None) };
    let found = preset::find(&name.value);
    if found.is_none() {
        let known: Vec<String> = preset::all().iter().map(|preset| preset.name.to_owned()).collect();
        check.error(
            "unknown_preset",
            named.at(name),
            format!("there is no preset `{}`", name.value),
            one_of("the presets are", &name.value, &known.iter().collect::<Vec<_>>()),
        );
    }
    found.map(Some)
}

/// How it goes on the wire: as the policy says, else as its preset does.
pub(super) fn injection<S: Source>(named: &Named<CredentialEntry<S>>, preset: Option<&Preset>, check: &mut Check) -> Option<Injection> {
    let written = named.entry.inject.as_ref();
    let place = written.map(|shape| named.at(shape)).or_else(|| named.entry.preset.as_ref().map(|preset| named.at(preset)));
    let place = place.unwrap_or(named.place);
    let own = preset.and_then(|preset| serde_saphyr::from_str::<Shape>(preset.inject).ok());
    let Some(shape) = written.map(|shape| &shape.value).or(own.as_ref()) else {
        missing(named, "inject", check);
        return None;
    };
    let injection = match Injection::compile(shape) {
        Ok(injection) => injection,
        Err((message, help)) => {
            check.error("bad_injection", place, message, help);
            return None;
        }
    };
    if let (Some(preset), Some(own)) = (preset, own.as_ref().and_then(|own| Injection::compile(own).ok()))
        && own.kind() != injection.kind()
    {
        check.error(
            "outside_preset",
            place,
            format!("credential `{}` is put on as `{}`, but `{}` takes `{}`", named.name, injection.kind(), preset.name, own.kind()),
            "remove `inject`, or the preset",
        );
        return None;
    }
    fits(named, &injection, check).then_some(injection)
}

/// Whether the source yields what the injection takes.
fn fits<S: Source>(named: &Named<CredentialEntry<S>>, injection: &Injection, check: &mut Check) -> bool {
    let source = &named.entry.source.value;
    let (takes, yields) = (injection.takes(), source.yields());
    if takes != yields {
        let place = named.entry.inject.as_ref().map_or_else(|| named.at(&named.entry.source), |inject| named.at(inject));
        check.error(
            "material_mismatch",
            place,
            format!(
                "credential `{}` is put on as `{}`, which takes {takes}, but `{}` yields {yields}",
                named.name,
                injection.kind(),
                source.kind()
            ),
            format!("use an injection that takes {yields}, or a source that yields {takes}"),
        );
    }
    takes == yields
}

/// The hosts that it may ever reach: those that the policy lists, else those of its preset.
pub(super) fn only_to<S>(named: &Named<CredentialEntry<S>>, preset: Option<&Preset>, check: &mut Check) -> Option<Vec<HostPattern>> {
    let own = || preset.into_iter().flat_map(|preset| preset.hosts).filter_map(|host| HostPattern::parse(host).ok());
    let Some(list) = &named.entry.only_to else {
        let mut hosts: Vec<HostPattern> = own().collect();
        if hosts.is_empty() {
            missing(named, "only_to", check);
            return None;
        }
        hosts.sort();
        return Some(hosts);
    };
    if list.value.is_empty() {
        check.error(
            "no_destination",
            named.at(list),
            format!("credential `{}` may reach no destination", named.name),
            "list its hosts under `only_to`, as in `[api.example.com]`",
        );
        return None;
    }
    let mut hosts: Vec<HostPattern> = list.value.iter().filter_map(|item| host(named, item, check)).collect();
    if let Some(preset) = preset.filter(|preset| preset.hosting == Hosting::Vendor) {
        let outside = list.value.iter().zip(&hosts).find(|(_, host)| !own().any(|own| own == **host || own.covers(host)));
        if let Some((item, host)) = outside.filter(|_| hosts.len() == list.value.len()) {
            check.error(
                "outside_preset",
                named.at(item),
                format!("`{host}` is no host of `{}`, which is at {}", preset.name, preset.hosts.join(", ")),
                "name some of those hosts, or write `inject` and no preset",
            );
            return None;
        }
    }
    hosts.sort();
    (hosts.len() == list.value.len()).then_some(hosts)
}

fn host<S>(named: &Named<CredentialEntry<S>>, item: &At<String>, check: &mut Check) -> Option<HostPattern> {
    match HostPattern::parse(&item.value) {
        Ok(host) if host.spans_registry() => {
            check.error(
                "public_suffix",
                named.at(item),
                format!("`{}` spans a public suffix", item.value),
                "name the hosts of one owner, such as `*.example.com`",
            );
            None
        }
        Ok(host) => Some(host),
        Err(problem) => {
            let help = if item.value.contains([':', '/']) {
                "write the host alone, without scheme, port and path"
            } else {
                "write a host, or `*.` and a suffix"
            };
            check.error("bad_host", named.at(item), format!("`{}` is not a host: {problem}", item.value), help);
            None
        }
    }
}

/// What the application holds instead: as the policy says, else in the shape of its preset.
pub(super) fn placeholder<S>(
    entry: &PlaceholderEntry,
    named: &Named<CredentialEntry<S>>,
    preset: Option<&Preset>,
    check: &mut Check,
) -> Option<Placeholder> {
    let place = entry.env.as_ref().map_or(named.place, |env| named.at(env));
    let Some(env) = entry.env.as_ref().map(|env| env.value.as_str()).or(preset.map(|preset| preset.env)) else {
        check.error(
            "missing_key",
            place,
            format!("the placeholder of `{}` has no `env`", named.name),
            "name the variable in which `keygress run` hands it to the application",
        );
        return None;
    };
    let good = env.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && !env.is_empty()
        && !env.starts_with(|first: char| first.is_ascii_digit());
    if !good {
        check.error(
            "bad_variable",
            place,
            format!("`{env}` is not the name of a variable"),
            "use letters, digits and `_`, as in `STRIPE_API_KEY`",
        );
    }
    let like = entry.like.as_deref().or(preset.map(|preset| preset.like)).unwrap_or_default();
    let plain = like.bytes().all(|byte| byte.is_ascii_graphic());
    if !plain {
        check.error(
            "bad_placeholder",
            place,
            format!("the placeholder of `{}` is like something that no key looks like", named.name),
            "use letters, digits and punctuation in `like`",
        );
    }
    let length = preset.map_or(PLACEHOLDER_LENGTH, |preset| preset.length);
    (good && plain).then(|| Placeholder { env: env.to_owned(), like: like.to_owned(), length })
}

fn missing<S>(named: &Named<CredentialEntry<S>>, key: &str, check: &mut Check) {
    // Where the preset itself is wrong, or a key is, that is said already.
    if named.entry.preset.is_some() || check.has_unread(named.place.file) {
        return;
    }
    check.error(
        "missing_key",
        named.place,
        format!("the key `{key}` is missing"),
        format!("add `{key}:`, or a `preset:` that knows it; `keygress schema --reference` says what it holds"),
    );
}
