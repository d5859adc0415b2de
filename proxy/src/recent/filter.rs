use keygress_policy::destination::Host;

use crate::audit::{Event, Kind};

/// The longest text that is looked for, in bytes.
const TEXT_BYTES_MAX: usize = 256;

/// What kind of thing somebody wants to see.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Matter {
    /// Everything.
    #[default]
    All,
    /// Requests that were sent.
    Used,
    /// Requests that were refused.
    Denied,
    /// Alerts.
    Alerts,
    /// What was issued, revoked, stopped, loaded: everything that is no request and no alert.
    Changes,
}

/// Which events somebody wants to see.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    matter: Matter,
    /// In lower case; empty where everything is wanted.
    text: String,
}

impl Filter {
    /// Reads it from the query of a request: `matter` and `text`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn of_query(query: &str) -> Result<Self, String> {
        let mut filter = Self::default();
        for (key, value) in form_urlencoded::parse(query.as_bytes()) {
            match &*key {
                "matter" => {
                    filter.matter = match &*value {
                        "" | "all" => Matter::All,
                        "used" => Matter::Used,
                        "denied" => Matter::Denied,
                        "alerts" => Matter::Alerts,
                        "changes" => Matter::Changes,
                        _ => return Err("`matter` is one of all, used, denied, alerts and changes".to_owned()),
                    }
                }
                "text" if value.len() <= TEXT_BYTES_MAX => filter.text = value.trim().to_lowercase(),
                "text" => return Err(format!("`text` has at most {TEXT_BYTES_MAX} bytes")),
                _ => return Err("this endpoint takes `matter` and `text`".to_owned()),
            }
        }
        Ok(filter)
    }

    /// Whether an event is wanted: of this matter, and with the text in one of the names that are shown of it.
    #[must_use]
    pub fn wants(&self, event: &Event) -> bool {
        let is_of_matter = match self.matter {
            Matter::All => true,
            Matter::Used => event.kind == Kind::Used,
            Matter::Denied => event.kind == Kind::Denied,
            Matter::Alerts => event.kind == Kind::Alert,
            Matter::Changes => !matches!(event.kind, Kind::Used | Kind::Denied | Kind::Alert),
        };
        is_of_matter && (self.text.is_empty() || self.is_in(event))
    }

    fn is_in(&self, event: &Event) -> bool {
        let names = [&event.workload, &event.task, &event.rule, &event.credential, &event.lease, &event.peer, &event.broker, &event.trace];
        let host = event.destination.as_ref().map(|destination| &destination.host);
        self.is_in_text(event.kind.as_str())
            || names.into_iter().flatten().any(|name| self.is_in_text(name))
            || event.code.is_some_and(|code| self.is_in_text(code))
            || event.method.as_ref().is_some_and(|method| self.is_in_text(method.as_str()))
            || event.path.as_ref().is_some_and(|path| self.is_in_text(path.path()))
            || event.message.as_ref().is_some_and(|message| self.is_in_text(message))
            || event.request.is_some_and(|id| id.to_string() == self.text)
            || event.status.is_some_and(|status| status.to_string() == self.text)
            || match host {
                Some(Host::Name(name)) => self.is_in_text(name),
                Some(host @ Host::Ip(_)) => self.is_in_text(&host.to_string()),
                None => false,
            }
    }

    fn is_in_text(&self, text: &str) -> bool {
        text.to_lowercase().contains(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event() -> Event {
        Event {
            workload: Some("Billing".into()),
            path: Some(http::uri::PathAndQuery::from_static("/v1/charges?key=hidden")),
            request: Some(77),
            status: Some(403),
            code: Some("no_rule"),
            ..Event::new(Kind::Denied)
        }
    }

    #[test]
    fn an_event_is_found_by_what_is_shown_of_it_alone() {
        let wants = |query: &str| Filter::of_query(query).unwrap().wants(&event());
        for query in ["", "text=billing", "text=CHARGES", "text=77", "text=403", "text=no_rule", "matter=denied&text=%20bill%20"] {
            assert!(wants(query), "{query}");
        }
        for query in ["text=hidden", "text=7", "text=40", "matter=used", "matter=alerts", "matter=changes", "text=stripe"] {
            assert!(!wants(query), "{query}");
        }
        assert!(Filter::of_query("matter=changes").unwrap().wants(&Event::new(Kind::Issued)));
    }

    #[test]
    fn what_is_asked_wrongly_is_told() {
        for query in ["matter=other", "kind=used", &format!("text={}", "x".repeat(TEXT_BYTES_MAX + 1))] {
            assert!(Filter::of_query(query).is_err(), "{query}");
        }
    }
}
