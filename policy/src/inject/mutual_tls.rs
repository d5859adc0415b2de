//! A client certificate in the TLS handshake with the destination: nothing of it stands in the request.

use http::HeaderName;
use http::request::Parts;
use schemars::JsonSchema;
use serde::Deserialize;

use super::rendered::ClientCertificate;
use super::{Existing, Inject, Payload, Rendered, Sending, slot};
use crate::material::{Material, MaterialKind, Secret};

/// Headers in which a gateway hands on the client certificate that it saw (RFC 9440 and its forerunners): a caller must not write them.
const HEADERS: [HeaderName; 10] = [
    HeaderName::from_static("client-cert"),
    HeaderName::from_static("client-cert-chain"),
    HeaderName::from_static("ssl-client-cert"),
    HeaderName::from_static("x-amzn-mtls-clientcert"),
    HeaderName::from_static("x-amzn-mtls-clientcert-leaf"),
    HeaderName::from_static("x-arr-clientcert"),
    HeaderName::from_static("x-client-cert"),
    HeaderName::from_static("x-forwarded-client-cert"),
    HeaderName::from_static("x-ssl-cert"),
    HeaderName::from_static("x-ssl-client-cert"),
];

/// Shows a client certificate to the destination when a connection to it is made. Such a connection serves no other credential and no
/// other holder. A destination that asks for no certificate is sent nothing.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Shape {}

/// [`Shape`] compiled.
#[derive(Debug)]
pub struct MutualTls;

impl Inject for MutualTls {
    fn takes(&self) -> MaterialKind {
        MaterialKind::Certificate
    }

    /// The slot is the handshake, which the application does not make.
    fn existing(&self) -> Existing {
        Existing::Overwrite
    }

    fn owns_header(&self, name: &HeaderName) -> bool {
        HEADERS.iter().any(|own| slot::is_spelling_of(name, own))
    }

    fn owns_query_key(&self, _key: &str) -> bool {
        false
    }

    fn render(&self, material: &Material) -> Result<Rendered, String> {
        let Material::Certificate { chain, key } = material else {
            return Err("it is no certificate".to_owned());
        };
        if chain.is_empty() || key.is_empty() {
            return Err("it is empty".to_owned());
        }
        let copy = || Secret::new(key.expose().to_vec());
        let certificate = ClientCertificate { chain: chain.clone(), key: copy() };
        Ok(Rendered { certificate: Some(certificate), needles: vec![copy()], ..Rendered::default() })
    }

    fn occupied(&self, head: &Parts) -> bool {
        head.headers.keys().any(|name| self.owns_header(name))
    }

    fn holds(&self, _head: &Parts, _placeholder: &Secret) -> bool {
        false
    }

    fn needs_tls(&self) -> bool {
        true
    }

    fn act(&self, head: &mut Parts, rendered: &Rendered, _: &Sending<'_>) -> Result<Payload, String> {
        if rendered.certificate.is_none() {
            return Err("the credential was rendered for another injection".to_owned());
        }
        while let Some(own) = head.headers.keys().find(|name| self.owns_header(name)).cloned() {
            head.headers.remove(own);
        }
        Ok(Payload::AsItCame)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{head, injection, sending, token};
    use super::*;

    fn certificate() -> Material {
        Material::Certificate { chain: vec![b"leaf".to_vec(), b"issuer".to_vec()], key: Secret::new(b"the key in DER".to_vec()) }
    }

    #[test]
    fn a_caller_cannot_claim_a_certificate_in_a_header() {
        let injection = injection("mutual_tls");
        let sent = [("X-Forwarded-Client-Cert", "Hash=1"), ("client_cert", ":AA==:"), ("x-ssl-cert", "-----BEGIN"), ("accept", "*/*")];
        let mut head = head("/", &sent);
        injection.act(&mut head, &injection.render(&certificate()).unwrap(), &sending()).unwrap();
        assert_eq!(head.headers.keys().collect::<Vec<_>>(), ["accept"]);
    }

    #[test]
    fn it_takes_a_certificate_and_keeps_its_key() {
        let injection = injection("mutual_tls");
        let rendered = injection.render(&certificate()).unwrap();
        let shown = rendered.certificate().unwrap();
        assert_eq!(shown.chain, [b"leaf".to_vec(), b"issuer".to_vec()]);
        assert!(shown.key.is(b"the key in DER") && rendered.needles()[0].is(b"the key in DER"));
        assert!(!format!("{rendered:?}").contains("the key"));
        assert!(injection.render(&token("t")).is_err());
        assert!(injection.render(&Material::Certificate { chain: vec![], key: Secret::new(b"k".to_vec()) }).is_err());
        assert!(injection.needs_tls());
    }

    #[test]
    fn what_was_rendered_for_another_injection_is_refused() {
        let rendered = injection("bearer").render(&token("t")).unwrap();
        assert!(injection("mutual_tls").act(&mut head("/", &[]), &rendered, &sending()).is_err());
    }
}
