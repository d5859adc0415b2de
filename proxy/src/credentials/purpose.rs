use std::fmt::Write as _;

use keygress_policy::name::CredentialName;

use super::Holder;

/// The words that a template may hold.
const WORDS: [&str; 3] = ["{credential}", "{workload}", "{task}"];

/// For what a provider fetches: what keygress has proven itself, and nothing that a request says.
#[derive(Clone, Debug)]
pub(super) struct Purpose {
    /// The credential, by its name in the policy.
    pub(super) credential: CredentialName,
    /// Who will hold what is fetched.
    pub(super) holder: Holder,
}

impl Purpose {
    /// The name of the workload; `any` where the policy knows none for the caller, or where it is for everybody.
    pub(super) fn workload(&self) -> &str {
        match &self.holder {
            Holder::Task { workload: Some(name), .. } | Holder::Workload(name) => name,
            Holder::Task { workload: None, .. } | Holder::Shared => "any",
        }
    }

    /// The id of the task; `none` outside any.
    pub(super) fn task(&self) -> &str {
        match &self.holder {
            Holder::Task { id, .. } => id,
            Holder::Workload(_) | Holder::Shared => "none",
        }
    }

    /// Fills a template that [`complaint`] found nothing wrong with.
    pub(super) fn fill(&self, template: &str) -> String {
        let mut filled = String::with_capacity(template.len() + 32);
        let mut rest = template;
        while let Some((before, after)) = rest.split_once('{') {
            let (word, after) = after.split_once('}').unwrap_or((after, ""));
            let value = match word {
                "credential" => self.credential.as_str(),
                "workload" => self.workload(),
                "task" => self.task(),
                _ => "",
            };
            let _ = write!(filled, "{before}{value}");
            rest = after;
        }
        filled.push_str(rest);
        filled
    }
}

/// What is wrong with a template, as (message, help).
pub(super) fn complaint(template: &str) -> Option<(String, String)> {
    let bare = WORDS.iter().fold(template.to_owned(), |bare, word| bare.replace(word, ""));
    bare.contains(['{', '}']).then(|| {
        (format!("`{template}` holds a brace that opens no word"), "the words are `{credential}`, `{workload}` and `{task}`".to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn purpose(holder: Holder) -> Purpose {
        Purpose { credential: "crm".into(), holder }
    }

    #[test]
    fn a_template_names_what_keygress_has_proven() {
        let task = purpose(Holder::Task { id: "7".into(), workload: Some("agent".into()) });
        assert_eq!(task.fill("{workload}-{task}"), "agent-7");
        assert_eq!(task.fill("kg/{credential}/x"), "kg/crm/x");
        assert_eq!(purpose(Holder::Workload("pod".into())).fill("{workload}-{task}"), "pod-none");
        assert_eq!(purpose(Holder::Task { id: "7".into(), workload: None }).fill("{workload}-{task}"), "any-7");
        assert_eq!(purpose(Holder::Shared).fill("{workload}"), "any");
    }

    #[test]
    fn a_value_is_not_a_template_again() {
        assert_eq!(purpose(Holder::Workload("{task}".into())).fill("{workload}"), "{task}");
    }

    #[test]
    fn a_brace_that_opens_no_word_is_a_complaint() {
        for template in ["", "plain", "{workload}-{task}", "{credential}"] {
            assert_eq!(complaint(template), None, "{template}");
        }
        for template in ["{", "}", "{user}", "{{task}}", "{ta{task}sk}", "{workload"] {
            assert!(complaint(template).is_some(), "{template}");
        }
    }
}
