use std::time::Duration;

use hyper::Method;
use jiff::Timestamp;
use keygress_policy::material::{Material, Secret};
use rcgen::string::Ia5String;
use rcgen::{CertificateParams, DnType, KeyPair, PKCS_ECDSA_P256_SHA256, SanType};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::super::wire::Time;
use super::super::{Fetched, Purpose, identity, purpose};
use super::api::{Server, is_path, path_help};
use super::login::Session;

/// A client certificate that the PKI engine signs. Its key is made by keygress and never leaves it: the role must take keys of type `ec`,
/// or `any`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Pki {
    /// Where the engine is mounted.
    mount: String,
    /// The role.
    role: String,
    /// The common name: with `{workload}`, `{task}` and `{credential}`.
    common_name: String,
    /// Further names: of a host, or a URI with its scheme, such as `spiffe://example.com/{workload}`. Templates too.
    #[serde(default)]
    names: Vec<String>,
    /// How long it lives. Default: what the role says.
    lifetime: Option<Time>,
}

#[derive(Deserialize)]
struct Signed {
    data: SignedData,
}

#[derive(Deserialize)]
struct SignedData {
    certificate: String,
    #[serde(default)]
    ca_chain: Vec<String>,
    serial_number: String,
    expiration: i64,
}

impl Pki {
    /// What is wrong with its shape, as (message, help).
    pub(super) fn complaints(&self) -> Vec<(String, String)> {
        let paths = [&self.mount, &self.role].into_iter().filter(|path| !is_path(path)).map(|path| path_help(path));
        let templates = std::iter::once(&self.common_name).chain(&self.names).filter_map(|name| purpose::complaint(name));
        let empty = self.common_name.is_empty().then(|| {
            let help = "write whom the certificate names, such as `{workload}.example.com`".to_owned();
            ("`common_name` is empty".to_owned(), help)
        });
        let short = self.lifetime.is_some_and(|Time(lifetime)| lifetime < Duration::from_secs(60)).then(|| {
            let message = "`lifetime` is below one minute".to_owned();
            (message, "write a time such as `1h`".to_owned())
        });
        paths.chain(templates).chain(empty).chain(short).collect()
    }

    /// Makes a key, and has it certified.
    ///
    /// # Errors
    /// What is missing, in words of ours.
    pub(super) async fn issue(&self, server: &Server<'_>, session: &Session, purpose: &Purpose) -> Result<Fetched, String> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(|_| "no key can be made".to_owned())?;
        let body = Value::Object(self.question(&key, purpose)?).to_string().into_bytes();
        let path = format!("{}/sign/{}", self.mount, self.role);
        let reply = server.call(Method::POST, &path, Some(session.token()), body).await?;
        let now = reply.now();
        let Signed { data } = reply.read("signing the certificate")?;
        let end = Timestamp::from_second(data.expiration).map_err(|_| "OpenBao gave a certificate without an end".to_owned())?;
        let lifetime = Duration::try_from(end.duration_since(now)).unwrap_or_default();
        if lifetime.is_zero() {
            return Err("OpenBao gave a certificate that has expired already".to_owned());
        }
        let pem = std::iter::once(data.certificate).chain(data.ca_chain).collect::<Vec<_>>().join("\n");
        let chain = identity::certificates(pem.as_bytes()).ok_or_else(|| "OpenBao gave a certificate that is none".to_owned())?;
        let chain = chain.iter().map(|certificate| certificate.to_vec()).collect();
        let key = Secret::new(key.serialize_der());
        // What revokes it is the session that asked for it, so it lives no longer than that.
        let lifetime = session.lifetime().map_or(lifetime, |session| session.min(lifetime));
        let handle = Some(session.handle_of_certificate(&data.serial_number));
        Ok(Fetched { material: Material::Certificate { chain, key }, lifetime: Some(lifetime), handle })
    }

    fn question(&self, key: &KeyPair, purpose: &Purpose) -> Result<Map<String, Value>, String> {
        let unfit = |name: &str| format!("`{name}` fits no certificate");
        let common_name = purpose.fill(&self.common_name);
        let (mut hosts, mut uris) = (Vec::new(), Vec::new());
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, common_name.as_str());
        for name in &self.names {
            let name = purpose.fill(name);
            let text = Ia5String::try_from(name.as_str()).map_err(|_| unfit(&name))?;
            let is_uri = name.contains("://");
            params.subject_alt_names.push(if is_uri { SanType::URI(text) } else { SanType::DnsName(text) });
            if is_uri { uris.push(name) } else { hosts.push(name) }
        }
        let request = params.serialize_request(key).and_then(|request| request.pem()).map_err(|_| unfit(&common_name))?;
        let named = [("csr", request), ("common_name", common_name), ("alt_names", hosts.join(",")), ("uri_sans", uris.join(","))];
        let mut question: Map<_, _> = named.into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect();
        if let Some(Time(lifetime)) = self.lifetime {
            question.insert("ttl".to_owned(), format!("{}s", lifetime.as_secs()).into());
        }
        Ok(question)
    }

    /// Revokes one, and ends the session that was kept for that.
    ///
    /// # Errors
    /// As [`Pki::issue`].
    pub(super) async fn revoke(&self, server: &Server<'_>, lent: Option<Secret>, handle: &Secret) -> Result<(), String> {
        let mut parts = handle.expose().splitn(2, |byte| *byte == b' ');
        let serial = parts.next().and_then(|serial| std::str::from_utf8(serial).ok()).unwrap_or_default();
        let ours = parts.next().map(|token| Secret::new(token.to_vec()));
        let token = lent.as_ref().or(ours.as_ref());
        let body = Value::from_iter([("serial_number", serial)]).to_string().into_bytes();
        let reply = server.call(Method::POST, &format!("{}/revoke", self.mount), token, body).await?;
        reply.done("revoking the certificate")?;
        match &ours {
            Some(session) => server.end_session(session).await,
            None => Ok(()),
        }
    }
}
