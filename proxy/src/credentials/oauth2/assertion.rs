use std::path::{Path, PathBuf};

use keygress_policy::material::Secret;
use schemars::JsonSchema;
use serde::Deserialize;

use super::super::jwt::SignedJwt;
use super::super::{Purpose, file};

/// A token that stands for somebody, read or signed for every call.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(in super::super) enum Assertion {
    /// The path of a file that holds it alone, such as a projected Kubernetes token.
    File(PathBuf),
    /// One that keygress signs: it can name the workload and the task.
    SelfSignedJwt(SignedJwt),
}

impl Assertion {
    /// What is wrong with its shape, as (message, help).
    pub(in super::super) fn complaints(&self) -> Vec<(String, String)> {
        match self {
            Self::File(path) => file::complaint(path).into_iter().collect(),
            Self::SelfSignedJwt(token) => token.complaints(),
        }
    }

    /// The files that are read.
    pub(in super::super) fn reads(&self) -> Vec<&Path> {
        match self {
            Self::File(path) => vec![path],
            Self::SelfSignedJwt(token) => token.reads(),
        }
    }

    /// Reads or signs it.
    ///
    /// # Errors
    /// What is wrong with a file, with its path, never with what it holds.
    pub(in super::super) async fn token(&self, purpose: &Purpose) -> Result<Secret, String> {
        match self {
            Self::File(path) => file::read(path).await,
            Self::SelfSignedJwt(token) => token.sign(purpose).await,
        }
    }
}
