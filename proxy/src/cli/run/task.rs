//! The task that `keygress run` begins: its id, its token, its placeholders.

use std::collections::BTreeMap;

use aws_lc_rs::error::Unspecified;
use aws_lc_rs::rand;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keygress_policy::compile::Placeholder;
use keygress_policy::material::Secret;
use keygress_policy::workload::Task;
use zeroize::Zeroizing;

use crate::Policy;
use crate::caller::RunningTask;

/// A task that is about to begin, with what its command gets to hold.
pub(super) struct NewTask {
    /// What the proxy knows it by.
    pub(super) running: RunningTask,
    /// What admits its requests.
    pub(super) token: Zeroizing<String>,
    /// Environment variable → placeholder.
    pub(super) placeholders: BTreeMap<String, String>,
}

impl NewTask {
    /// A task with a random id and token, and one placeholder for each credential of the policy that names one.
    ///
    /// # Errors
    /// Where the system has no randomness.
    pub(super) fn new(policy: &Policy, labels: BTreeMap<String, String>) -> Result<Self, Unspecified> {
        let token = Zeroizing::new(URL_SAFE_NO_PAD.encode(random::<32>()?));
        let mut held = BTreeMap::new();
        let mut placeholders = BTreeMap::new();
        for credential in policy.credentials() {
            let Some(placeholder) = &credential.placeholder else { continue };
            let value = stand_in(placeholder)?;
            held.insert(credential.name.as_str().to_owned(), Secret::new(value.clone().into_bytes()));
            placeholders.insert(placeholder.env.clone(), value);
        }
        let running = RunningTask::new(Task { id: id()?, labels }, Secret::new(token.as_bytes().to_vec()), held);
        Ok(Self { running, token, placeholders })
    }
}

fn id() -> Result<String, Unspecified> {
    Ok(random::<8>()?.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// A worthless value of the vendor's shape: the prefix, then letters and digits.
fn stand_in(placeholder: &Placeholder) -> Result<String, Unspecified> {
    let mut value = placeholder.like.clone();
    let length = value.len() + placeholder.length;
    while value.len() < length {
        let random = random::<32>()?;
        // Bytes that are no letter or digit are thrown away, so that each is equally likely.
        let usable = random.iter().map(|byte| char::from(byte & 0x7f)).filter(char::is_ascii_alphanumeric);
        value.extend(usable.take(length - value.len()));
    }
    Ok(value)
}

fn random<const LENGTH: usize>() -> Result<[u8; LENGTH], Unspecified> {
    let mut bytes = [0; LENGTH];
    rand::fill(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_placeholder_has_the_shape_of_the_vendors_key_and_never_repeats() {
        let placeholder = Placeholder { env: "API_KEY".into(), like: "sk_test_".into(), length: 24 };
        let (one, two) = (stand_in(&placeholder).unwrap(), stand_in(&placeholder).unwrap());
        let random = one.strip_prefix("sk_test_").unwrap();
        assert_eq!(random.len(), 24);
        assert!(random.chars().all(|c| c.is_ascii_alphanumeric()));
        assert_ne!(one, two);
    }

    #[test]
    fn an_id_is_sixteen_hexadecimal_digits() {
        let id = id().unwrap();
        assert_eq!(id.len(), 16);
        assert!(id.chars().all(|c| c.is_ascii_hexdigit()));
    }
}
