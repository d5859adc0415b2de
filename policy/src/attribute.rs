//! A header that tells the destination whose request it is: a key that many share is not anonymous then.

use http::{HeaderMap, HeaderName, HeaderValue};

/// What stands for a workload or a task that there is none of.
const NOBODY: &str = "none";

/// `attribute:` of a rule, as meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attribute {
    /// The header.
    pub header: HeaderName,
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Workload,
    Task,
}

impl Attribute {
    /// Reads a value with `{workload}` and `{task}` in it; `None` where it holds something else.
    pub(crate) fn parse(header: HeaderName, value: &str) -> Option<Self> {
        let mut parts = Vec::new();
        let mut rest = value;
        while let Some((text, after)) = rest.split_once('{') {
            let (name, after) = after.split_once('}')?;
            parts.push(Part::Text(text.to_owned()));
            parts.push(match name {
                "workload" => Part::Workload,
                "task" => Part::Task,
                _ => return None,
            });
            rest = after;
        }
        parts.push(Part::Text(rest.to_owned()));
        let plain = |part: &Part| match part {
            Part::Text(text) => text.bytes().all(|byte| matches!(byte, b' '..=b'~') && byte != b'}'),
            Part::Workload | Part::Task => true,
        };
        (parts.len() > 1 && value.trim() == value && parts.iter().all(plain)).then_some(Self { header, parts })
    }

    /// Writes it for this caller in place of all that the application sent under its name, `_` standing for `-`.
    pub fn put(&self, headers: &mut HeaderMap, workload: Option<&str>, task: Option<&str>) {
        let alike = |name: &HeaderName| name.as_str().replace('_', "-") == self.header.as_str().replace('_', "-");
        while let Some(name) = headers.keys().find(|name| alike(name)).cloned() {
            headers.remove(name);
        }
        let mut value = String::new();
        for part in &self.parts {
            value.push_str(match part {
                Part::Text(text) => text,
                Part::Workload => workload.unwrap_or(NOBODY),
                Part::Task => task.unwrap_or(NOBODY),
            });
        }
        // The id of a task may be a peer's.
        let value: String = value.chars().map(|c| if matches!(c, ' '..='~') { c } else { '_' }).collect();
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.insert(self.header.clone(), value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: HeaderName = HeaderName::from_static("x-workload");

    #[test]
    fn what_the_application_wrote_there_is_gone() {
        let attribute = Attribute::parse(NAME, "{workload}/{task} of us").unwrap();
        let mut headers = HeaderMap::new();
        for name in ["x-workload", "x_workload"] {
            headers.append(HeaderName::try_from(name).unwrap(), HeaderValue::from_static("admin"));
        }
        attribute.put(&mut headers, Some("billing"), None);
        assert_eq!(headers.len(), 1);
        assert_eq!(headers["x-workload"], "billing/none of us");
        attribute.put(&mut headers, None, Some("é\u{7f}"));
        assert_eq!(headers["x-workload"], "none/__ of us");
    }

    #[test]
    fn a_value_names_somebody_and_nothing_else() {
        for value in ["", "x", "{workload", "{token}", " {task}", "{task}}", "{task}\n", "{task} é"] {
            assert_eq!(Attribute::parse(NAME, value), None, "{value}");
        }
    }
}
