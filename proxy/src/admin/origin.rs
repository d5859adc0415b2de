//! Which requests on TCP a web page could have made: a page in a browser on this host, or a name that was pointed here.

use http::HeaderMap;
use http::header::{HOST, ORIGIN};
use keygress_policy::destination::{self, Host};

/// Lets through what a kubelet, Prometheus or a person sends.
///
/// # Errors
/// What gives the request away.
pub(super) fn check(headers: &HeaderMap) -> Result<(), &'static str> {
    let mut hosts = headers.get_all(HOST).iter();
    let host = hosts.next().and_then(|host| host.to_str().ok()).ok_or("a Host header is needed")?;
    if hosts.next().is_some() {
        return Err("there is more than one Host header");
    }
    match destination::parse_authority(host) {
        Ok((Host::Ip(_), _)) => {}
        Ok((Host::Name(name), _)) if &*name == "localhost" => {}
        // A name that an attacker owns may resolve to this address; an address or `localhost` cannot be pointed elsewhere.
        Ok(_) | Err(_) => return Err("the Host header must be an address or `localhost`"),
    }
    if headers.contains_key(ORIGIN) {
        return Err("requests of web pages are refused");
    }
    match headers.get("sec-fetch-site").map(http::HeaderValue::as_bytes) {
        None | Some(b"none") => Ok(()),
        Some(_) => Err("requests of web pages are refused"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(headers: &[(&'static str, &str)]) -> Result<(), &'static str> {
        check(&headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect())
    }

    #[test]
    fn a_kubelet_and_a_person_pass() {
        checked(&[("host", "10.0.0.7:9464")]).unwrap();
        checked(&[("host", "[::1]:9464")]).unwrap();
        checked(&[("host", "localhost:9464"), ("sec-fetch-site", "none")]).unwrap();
    }

    #[test]
    fn a_name_that_was_pointed_here_is_refused() {
        checked(&[("host", "rebind.example:9464")]).unwrap_err();
        checked(&[("host", "localhost.example:9464")]).unwrap_err();
        checked(&[("host", "user@127.0.0.1")]).unwrap_err();
        checked(&[]).unwrap_err();
    }

    #[test]
    fn a_web_page_is_refused() {
        for site in ["cross-site", "same-site", "same-origin", ""] {
            checked(&[("host", "127.0.0.1"), ("sec-fetch-site", site)]).unwrap_err();
        }
        checked(&[("host", "127.0.0.1"), ("origin", "https://evil.example")]).unwrap_err();
        checked(&[("host", "127.0.0.1"), ("origin", "null")]).unwrap_err();
    }
}
