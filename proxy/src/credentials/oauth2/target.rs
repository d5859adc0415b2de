use super::Form;

/// What a token is to be good for, as the policy says and never the request.
pub(in super::super) struct Target<'a> {
    /// The scopes to ask for.
    pub(in super::super) scope: &'a [String],
    /// The `audience` parameter.
    pub(in super::super) audience: Option<&'a String>,
    /// The resource (RFC 8707).
    pub(in super::super) resource: Option<&'a String>,
}

impl Target<'_> {
    /// What is wrong with it, as (message, help).
    pub(in super::super) fn complaints(&self) -> impl Iterator<Item = (String, String)> {
        let scopes = self.scope.iter().filter(|scope| !is_scope(scope)).map(|scope| {
            (format!("`{scope}` is not one scope"), "write a list of scopes without spaces, such as `[read, write]`".to_owned())
        });
        let resource = self.resource.filter(|resource| !is_resource(resource)).map(|resource| {
            (format!("`{resource}` is no absolute URI"), "write an URI without fragment, such as `https://api.example.com`".to_owned())
        });
        scopes.chain(resource)
    }

    /// Asks for it.
    pub(in super::super) fn add_to(&self, form: &mut Form) {
        if !self.scope.is_empty() {
            form.add("scope", self.scope.join(" ").as_bytes());
        }
        for (name, value) in [("audience", self.audience), ("resource", self.resource)] {
            if let Some(value) = value {
                form.add(name, value.as_bytes());
            }
        }
    }
}

/// RFC 8707, section 2.
fn is_resource(text: &str) -> bool {
    let is_scheme = |scheme: &str| scheme.starts_with(|first: char| first.is_ascii_alphabetic());
    text.split_once(':').is_some_and(|(scheme, rest)| is_scheme(scheme) && !rest.is_empty())
        && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#')
}

/// RFC 6749, section 3.3.
fn is_scope(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\')
}
