//! What the grants of OAuth 2.0 share. Each grant is a provider of its own and adds only what it sends.

/// The client towards its issuer: authentication, tokens, revocation.
mod client;

/// Bodies of `application/x-www-form-urlencoded`.
mod form;

/// What a token endpoint answers.
mod answer;

/// What a token is to be good for.
mod target;

/// A token that stands for somebody: a file, or one that keygress signs.
mod assertion;

pub(super) use answer::{BEARER, BEARER_OR_NOT_APPLICABLE, Token};
pub(super) use assertion::Assertion;
pub(super) use client::{Auth, Client, ClientSecret};
pub(super) use form::Form;
pub(super) use target::Target;
