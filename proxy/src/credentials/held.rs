use keygress_policy::material::Secret;

/// A placeholder as its application holds it: it opens nothing, and is a secret only so that nobody mistakes it for the real thing.
#[must_use]
pub fn held_text(placeholder: &Secret) -> Option<String> {
    String::from_utf8(placeholder.expose().to_vec()).ok()
}
