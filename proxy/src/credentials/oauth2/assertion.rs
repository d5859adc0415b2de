use std::path::{Path, PathBuf};

use keygress_policy::material::{Material, Secret};
use schemars::JsonSchema;
use serde::Deserialize;

use super::super::jwt::SignedJwt;
use super::super::kubernetes_token::KubernetesToken;
use super::super::spiffe_jwt::SpiffeJwt;
use super::super::{Provider, Purpose, Tools, file};

/// A token that stands for somebody, read or signed for every call.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(in super::super) enum Assertion {
    /// The path of a file that holds it alone, such as a projected Kubernetes token.
    File(PathBuf),
    /// One that keygress signs: it can name the workload and the task.
    SelfSignedJwt(SignedJwt),
    /// A JWT-SVID, by the SPIFFE Workload API.
    SpiffeJwt(SpiffeJwt),
    /// A token of a Kubernetes service account, such as the workload's, by the TokenRequest API.
    KubernetesToken(KubernetesToken),
}

impl Assertion {
    /// What is wrong with its shape, as (message, help).
    pub(in super::super) fn complaints(&self) -> Vec<(String, String)> {
        match self {
            Self::File(path) => file::complaint(path).into_iter().collect(),
            Self::SelfSignedJwt(token) => token.complaints(),
            Self::SpiffeJwt(provider) => provider.complaints(),
            Self::KubernetesToken(provider) => provider.complaints(),
        }
    }

    /// The files that are read.
    pub(in super::super) fn reads(&self) -> Vec<&Path> {
        match self {
            Self::File(path) => vec![path],
            Self::SelfSignedJwt(token) => token.reads(),
            Self::SpiffeJwt(provider) => provider.reads(),
            Self::KubernetesToken(provider) => provider.reads(),
        }
    }

    /// Reads it, signs it or asks for it.
    ///
    /// # Errors
    /// What is missing, in words of ours.
    pub(in super::super) async fn token(&self, tools: &Tools, purpose: &Purpose) -> Result<Secret, String> {
        let minted = match self {
            Self::File(path) => return file::read(path).await,
            Self::SelfSignedJwt(token) => return token.sign(purpose).await,
            Self::SpiffeJwt(provider) => provider.fetch(tools, purpose).await?,
            Self::KubernetesToken(provider) => provider.fetch(tools, purpose).await?,
        };
        match minted.material {
            Material::Token(token) => Ok(token),
            _ => Err("what stands for the workload is no token".to_owned()),
        }
    }
}
