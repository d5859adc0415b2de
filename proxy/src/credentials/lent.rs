use keygress_policy::material::{Material, MaterialKind, Secret};

use super::{Fetched, Provider, Purpose, Source, Tools};

/// What another provider yields, for the calls of one that needs it: fetched for them, and revoked after them where its issuer can.
pub(super) struct Lent<'a> {
    provider: &'a dyn Provider,
    material: Material,
    handle: Option<Secret>,
}

impl<'a> Lent<'a> {
    /// Fetches it.
    ///
    /// # Errors
    /// Those of the other provider.
    pub(super) async fn from(source: &'a Source, tools: &Tools, purpose: &Purpose) -> Result<Self, String> {
        let provider = source.provider();
        let Fetched { material, handle, .. } = provider.fetch(tools, purpose).await?;
        Ok(Self { provider, material, handle })
    }

    /// What was lent.
    pub(super) fn material(&self) -> &Material {
        &self.material
    }

    /// The token that was lent.
    ///
    /// # Errors
    /// Where it is none, which [`complaints`] tells when the policy loads.
    pub(super) fn token(&self) -> Result<&Secret, String> {
        match &self.material {
            Material::Token(token) => Ok(token),
            _ => Err(format!("`from` needs a token, but `{}` yields {}", self.provider.kind(), self.provider.yields())),
        }
    }

    /// Gives it back; it ends by itself where that fails.
    pub(super) async fn end(self, tools: &Tools) {
        if let Some(handle) = self.handle.as_ref().filter(|_| self.provider.revokes())
            && let Err(reason) = self.provider.revoke(tools, handle).await
        {
            tracing::debug!(provider = self.provider.kind(), %reason, "what was lent lives on until it ends by itself");
        }
    }
}

/// What is wrong with the provider under `from` of another one, as (message, help).
pub(super) fn complaints(borrower: &str, source: &Source, needed: MaterialKind, such_as: &str) -> Vec<(String, String)> {
    let from = source.provider();
    let wrong = (from.yields() != needed).then(|| {
        let message = format!("`from` of `{borrower}` needs {needed}, but `{}` yields {}", from.kind(), from.yields());
        (message, format!("use a provider that yields {needed}, such as `{such_as}`"))
    });
    from.complaints().into_iter().chain(wrong).collect()
}
