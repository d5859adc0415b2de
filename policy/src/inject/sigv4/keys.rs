use std::fmt;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use aws_lc_rs::hmac::{self, HMAC_SHA256};
use http::HeaderValue;
use zeroize::Zeroizing;

use super::super::rendered;
use super::asymmetric::Asymmetric;
use super::stamp::Stamp;
use crate::material::{Material, Secret};

/// Signing keys that are kept: regions × services of today.
const DERIVED_MAX: usize = 64;

/// AWS keys made ready: the signing keys that were derived from them stay with the value and end with it.
pub(crate) struct Keys {
    pub(super) access_key_id: String,
    secret_access_key: Secret,
    /// As the header that carries it.
    pub(super) session_token: Option<HeaderValue>,
    derived: RwLock<Vec<Arc<SigningKey>>>,
    asymmetric: OnceLock<Option<Asymmetric>>,
}

/// What signs for one day, region and service.
pub(super) struct SigningKey {
    date: [u8; 8],
    region: String,
    service: String,
    pub(super) hmac: hmac::Key,
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys").field("access_key_id", &self.access_key_id).finish_non_exhaustive()
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("region", &self.region).field("service", &self.service).finish_non_exhaustive()
    }
}

impl Keys {
    /// Checks that the keys can stand where they go.
    pub(super) fn of(material: &Material) -> Result<Self, String> {
        let Material::AwsKeys { access_key_id, secret_access_key, session_token } = material else {
            return Err("it is no AWS keys".to_owned());
        };
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
        if access_key_id.is_empty() || !access_key_id.bytes().all(plain) {
            return Err("its access key id holds something other than letters and digits".to_owned());
        }
        rendered::refuse_unprintable(secret_access_key.expose())?;
        let session_token = session_token.as_ref().map(|token| {
            rendered::refuse_unprintable(token.expose())?;
            rendered::refuse_outer_space(token.expose())?;
            rendered::sensitive(token.expose())
        });
        Ok(Self {
            access_key_id: access_key_id.clone(),
            secret_access_key: Secret::new(secret_access_key.expose().to_vec()),
            session_token: session_token.transpose()?,
            derived: RwLock::default(),
            asymmetric: OnceLock::new(),
        })
    }

    /// The key that signs for several regions: derived once, then kept.
    pub(super) fn asymmetric(&self) -> Result<&Asymmetric, String> {
        let derived = self.asymmetric.get_or_init(|| Asymmetric::derive(&self.access_key_id, self.secret_access_key.expose()));
        derived.as_ref().ok_or_else(|| "no key for several regions comes of these AWS keys".to_owned())
    }

    /// The key of this day, region and service: derived once, then kept.
    pub(super) fn signing_key(&self, stamp: &Stamp, region: &str, service: &str) -> Arc<SigningKey> {
        let date = stamp.date().as_bytes();
        let is_it = |key: &&Arc<SigningKey>| key.date == date && key.region == region && key.service == service;
        if let Some(key) = self.derived.read().unwrap_or_else(PoisonError::into_inner).iter().find(is_it) {
            return Arc::clone(key);
        }
        let key = Arc::new(self.derive(stamp, region, service));
        let mut derived = self.derived.write().unwrap_or_else(PoisonError::into_inner);
        derived.retain(|kept| kept.date == key.date && !is_it(&kept));
        if derived.len() >= DERIVED_MAX {
            derived.swap_remove(0);
        }
        derived.push(Arc::clone(&key));
        key
    }

    fn derive(&self, stamp: &Stamp, region: &str, service: &str) -> SigningKey {
        let first = Zeroizing::new([b"AWS4", self.secret_access_key.expose()].concat());
        let mut key = hmac::Key::new(HMAC_SHA256, &first);
        for step in [stamp.date(), region, service, "aws4_request"] {
            key = hmac::Key::new(HMAC_SHA256, hmac::sign(&key, step.as_bytes()).as_ref());
        }
        let mut date = [0; 8];
        date.iter_mut().zip(stamp.date().bytes()).for_each(|(into, byte)| *into = byte);
        SigningKey { date, region: region.to_owned(), service: service.to_owned(), hmac: key }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::tests::aws_keys;
    use super::*;

    fn stamp(day: u8) -> Stamp {
        Stamp::of(format!("2026-01-{day:02}T12:00:00Z").parse().unwrap())
    }

    #[test]
    fn a_signing_key_is_derived_once_a_day_region_and_service() {
        let keys = Keys::of(&aws_keys(None)).unwrap();
        let first = keys.signing_key(&stamp(1), "eu-west-1", "s3");
        assert!(Arc::ptr_eq(&first, &keys.signing_key(&stamp(1), "eu-west-1", "s3")));
        assert!(!Arc::ptr_eq(&first, &keys.signing_key(&stamp(1), "eu-west-2", "s3")));
        assert!(!Arc::ptr_eq(&first, &keys.signing_key(&stamp(1), "eu-west-1", "sqs")));
        assert!(Arc::ptr_eq(&first, &keys.signing_key(&stamp(1), "eu-west-1", "s3")));
        assert!(!Arc::ptr_eq(&first, &keys.signing_key(&stamp(2), "eu-west-1", "s3")));
        assert_eq!(keys.derived.read().unwrap().len(), 1, "yesterday's keys go");
    }

    #[test]
    fn no_more_keys_are_kept_than_the_limit() {
        let keys = Keys::of(&aws_keys(None)).unwrap();
        (0..DERIVED_MAX + 5).for_each(|number| drop(keys.signing_key(&stamp(1), &format!("r-{number}"), "s3")));
        assert_eq!(keys.derived.read().unwrap().len(), DERIVED_MAX);
    }

    #[test]
    fn keys_that_would_break_the_header_are_refused() {
        let keys = |id: &str, secret: &str, token: Option<&str>| Material::AwsKeys {
            access_key_id: id.into(),
            secret_access_key: Secret::new(secret.into()),
            session_token: token.map(|token| Secret::new(token.into())),
        };
        assert!(Keys::of(&keys("AKIA", "s/+=", Some("t/+="))).is_ok());
        for (id, secret, token) in [
            ("", "s", None),
            ("A/B", "s", None),
            ("A B", "s", None),
            ("A", "", None),
            ("A", "s\n", None),
            ("A", "s", Some("")),
            ("A", "s", Some("t\r")),
        ] {
            assert!(Keys::of(&keys(id, secret, token)).is_err(), "{id:?} {secret:?} {token:?}");
        }
    }
}
