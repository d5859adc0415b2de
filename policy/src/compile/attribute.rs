use http::HeaderName;

use super::check::{Check, Named};
use super::rules::FRAMING;
use super::{Credential, Source};
use crate::attribute::Attribute;
use crate::document::RuleEntry;

/// The header that names the caller to the destination. `None` where it is wrong; `Some(None)` where there is none.
pub(super) fn attribute<S: Source>(
    named: &Named<RuleEntry>,
    credential: Option<&Credential<S>>,
    check: &mut Check,
) -> Option<Option<Attribute>> {
    let Some(entry) = &named.entry.attribute else { return Some(None) };
    let header = HeaderName::from_bytes(entry.header.value.as_bytes()).ok();
    let free = |header: &HeaderName| !FRAMING.contains(header) && credential.is_none_or(|held| !held.injection.owns_header(header));
    let Some(header) = header.filter(free) else {
        let message = format!("`{}` is not a header that can name the caller", entry.header.value);
        check.error("bad_header", named.at(&entry.header), message, "use one of your own, such as `x-workload`");
        return None;
    };
    let attribute = Attribute::parse(header, &entry.value.value);
    if attribute.is_none() {
        let message = format!("`{}` does not name the caller", entry.value.value);
        check.error(
            "bad_attribute",
            named.at(&entry.value),
            message,
            "write `{workload}`, `{task}` or both, and printable ASCII around them",
        );
    }
    attribute.map(Some)
}
