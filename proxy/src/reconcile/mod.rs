//! What a provider logged, compared with what keygress has on record: a use of its credentials that it did not make.

/// AWS CloudTrail.
mod cloudtrail;

/// The audit log of a GitHub organisation or enterprise.
mod github;

use std::collections::BTreeMap;

pub use cloudtrail::cloudtrail;
pub use github::github;

use crate::records::Line;

/// Uses on record that are remembered, at most; what is beyond is left out, and told.
const USES_MAX: usize = 2_000_000;

/// One use, as a provider logged it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Logged {
    /// The provider's own name for it.
    pub id: String,
    /// When, in milliseconds since 1970.
    pub time: i64,
    /// What was done, in the provider's words.
    pub what: String,
    /// The key or token by which it was done, as far as the log names it.
    pub key: Option<String>,
    /// From which address.
    pub from: Option<String>,
    /// Where such a request goes.
    #[serde(skip)]
    pub place: Place,
    /// Method and path, where the log has them.
    #[serde(skip)]
    pub request: Option<(String, String)>,
}

/// Where a request goes that a provider logs so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A service of AWS, by the label of its hosts.
    Aws(String),
    /// GitHub: its API, or its Git hosts.
    GitHub,
}

impl Place {
    fn is(&self, host: &str) -> bool {
        match self {
            Self::Aws(service) => {
                let labels = host.strip_suffix(".amazonaws.com").or_else(|| host.strip_suffix(".amazonaws.com.cn"));
                labels.is_some_and(|labels| labels.split('.').any(|label| label == service || label.strip_suffix("-fips") == Some(service)))
            }
            Self::GitHub => host == "github.com" || host.ends_with(".github.com") || host.ends_with(".ghe.com"),
        }
    }
}

/// Uses of credentials on record.
#[derive(Debug, Default)]
pub struct Made {
    uses: BTreeMap<i64, Vec<Use>>,
    span: Option<(i64, i64)>,
    count: usize,
    /// Uses that did not fit.
    pub left_out: u64,
}

#[derive(Debug)]
struct Use {
    host: String,
    method: String,
    path: String,
    is_taken: bool,
}

/// What the comparison came to.
#[derive(Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Compared {
    /// Logged uses that keygress made.
    pub ours: usize,
    /// Logged uses that it did not make.
    pub foreign: Vec<Logged>,
    /// Logged uses from before or after the audit: it says nothing of them.
    pub outside: usize,
}

impl Made {
    /// Takes a record, where it is the use of a credential; of this one alone, where one is named.
    pub fn take(&mut self, line: &Line<'_>, credential: Option<&str>) {
        self.span = Some(self.span.map_or((line.time, line.time), |(first, last)| (first.min(line.time), last.max(line.time))));
        let of = line.keygress.credential.given();
        if line.activity.as_str() != "used" || of.is_none() || credential.is_some() && of != credential {
            return;
        }
        if self.count >= USES_MAX {
            self.left_out += 1;
            return;
        }
        self.count += 1;
        let request = &line.http_request;
        let text = |text: &str| text.to_owned();
        let (host, method, path) =
            (text(request.url.hostname.as_str()), text(request.http_method.as_str()), text(request.url.path.as_str()));
        self.uses.entry(line.time).or_default().push(Use { host, method, path, is_taken: false });
    }

    /// Finds for each logged use one on record at about that time, each once.
    #[must_use]
    pub fn compare(mut self, mut logged: Vec<Logged>, skew_ms: i64) -> Compared {
        logged.sort_by(|one, other| (one.time, &one.id).cmp(&(other.time, &other.id)));
        let mut compared = Compared::default();
        for one in logged {
            // The provider logs when a request comes, keygress when it is answered.
            let (from, to) = (one.time.saturating_sub(skew_ms), one.time.saturating_add(skew_ms));
            let mut near = self.uses.range_mut(from..=to).flat_map(|(_, uses)| uses);
            if let Some(made) = near.find(|made| made.may_be(&one)) {
                made.is_taken = true;
                compared.ours += 1;
            } else if self.span.is_none_or(|(first, last)| one.time < first || one.time > last) {
                compared.outside += 1;
            } else {
                compared.foreign.push(one);
            }
        }
        compared
    }
}

impl Use {
    fn may_be(&self, logged: &Logged) -> bool {
        let same = |(method, path): &(String, String)| *method == self.method && *path == self.path;
        !self.is_taken && logged.place.is(&self.host) && logged.request.as_ref().is_none_or(same)
    }
}

#[cfg(test)]
mod tests;
