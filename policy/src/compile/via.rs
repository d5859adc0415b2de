use std::sync::Arc;

use super::check::{Check, Named};
use crate::document::RuleEntry;

/// Longest name of a broker.
const NAME_BYTES_MAX: usize = 64;

/// The broker of a rule. `None` where it is wrong; `Some(None)` where there is none.
pub(super) fn via(named: &Named<RuleEntry>, check: &mut Check) -> Option<Option<Arc<str>>> {
    let entry = &named.entry;
    let Some(via) = &entry.via else { return Some(None) };
    let mut sound = true;
    let name = &via.value;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if !(1..=NAME_BYTES_MAX).contains(&name.len()) || !name.bytes().all(plain) {
        sound = false;
        let help = "use at most 64 letters, digits, `-`, `_` and `.`, as under `brokers:` in proxy.yaml";
        check.error("bad_name", named.at(via), format!("`{name}` is not the name of a broker"), help);
    }
    if let Some(credential) = &entry.credential {
        sound = false;
        let message = format!("rule `{}` has a credential and goes through the broker `{name}`, which puts on its own", named.name);
        check.error("conflicting_keys", named.at(credential), message, "keep one of the two");
    }
    if let Some(allow_ips) = &entry.allow_ips {
        sound = false;
        let message = format!("rule `{}` goes through the broker `{name}`, which dials: `allow_ips` opens nothing here", named.name);
        check.error("conflicting_keys", named.at(allow_ips), message, "remove it here; the rule of the broker's own policy may need it");
    }
    sound.then(|| Some(name.as_str().into()))
}
