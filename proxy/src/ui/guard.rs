use http::header::{AUTHORIZATION, COOKIE, HOST, HeaderName, ORIGIN};
use http::request::Parts;
use http::{HeaderMap, Method, StatusCode};

use super::Refused;

/// Where a page says that a request comes from (Fetch Metadata).
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// The one place where the page is.
pub(super) struct Guard {
    authority: String,
    origin: String,
    cookie: String,
}

impl Guard {
    pub(super) fn new(address: std::net::SocketAddr) -> Self {
        let authority = address.to_string();
        Self { origin: format!("http://{authority}"), authority, cookie: format!("keygress_{}", address.port()) }
    }

    pub(super) fn origin(&self) -> &str {
        &self.origin
    }

    /// The name of the cookie: cookies know no ports, so that two pages at once would share one.
    pub(super) fn cookie_name(&self) -> &str {
        &self.cookie
    }

    /// Lets through what a person typed or the page itself asks.
    ///
    /// # Errors
    /// Where another name leads here (DNS rebinding), or another page asks.
    pub(super) fn check(&self, head: &Parts) -> Result<(), Refused> {
        let Parts { headers, uri, method, .. } = head;
        if uri.authority().is_some() || one(headers, &HOST)? != Some(&*self.authority) {
            return Err(forbidden(format!("this page is at {} and nowhere else", self.origin)));
        }
        match one(headers, &SEC_FETCH_SITE)? {
            None | Some("none" | "same-origin") => {}
            Some(_) => return Err(forbidden("another page led here: paste the link into the address bar".to_owned())),
        }
        match one(headers, &ORIGIN)? {
            Some(origin) if origin == self.origin => Ok(()),
            None if matches!(*method, Method::GET | Method::HEAD) => Ok(()),
            Some(_) | None => Err(forbidden("only the page itself may ask this".to_owned())),
        }
    }

    /// The cookie of a request, where there is one.
    pub(super) fn cookie<'h>(&self, headers: &'h HeaderMap) -> Option<&'h str> {
        let fields = headers.get_all(COOKIE).iter().filter_map(|field| field.to_str().ok());
        let mut pairs = fields.flat_map(|field| field.split(';')).filter_map(|pair| pair.trim().split_once('='));
        pairs.find(|(name, _)| *name == self.cookie).map(|(_, value)| value)
    }
}

/// The bearer token of a request, where there is one.
pub(super) fn bearer(headers: &HeaderMap) -> Option<&str> {
    headers.get(AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ")
}

/// The value of a field that may stand once at most.
fn one<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Result<Option<&'h str>, Refused> {
    let mut values = headers.get_all(name).iter();
    let (first, second) = (values.next(), values.next());
    match (first.map(|value| value.to_str()), second) {
        (None, _) => Ok(None),
        (Some(Ok(value)), None) => Ok(Some(value)),
        (Some(_), _) => Err(Refused::new(StatusCode::BAD_REQUEST, format!("`{name}` can be read in two ways, or in none"))),
    }
}

fn forbidden(why: String) -> Refused {
    Refused::new(StatusCode::FORBIDDEN, why)
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    const OWN: &str = "http://127.0.0.1:4000";

    fn checked(method: &str, uri: &str, headers: &[(&str, &str)]) -> Result<(), u16> {
        let request =
            headers.iter().fold(Request::builder().method(method).uri(uri), |request, (name, value)| request.header(*name, *value));
        let (head, ()) = request.body(()).unwrap().into_parts();
        Guard::new("127.0.0.1:4000".parse().unwrap()).check(&head).map_err(|refused| refused.status.as_u16())
    }

    #[test]
    fn a_person_and_the_page_pass() {
        checked("GET", "/", &[("host", "127.0.0.1:4000")]).unwrap();
        checked("GET", "/", &[("host", "127.0.0.1:4000"), ("sec-fetch-site", "none")]).unwrap();
        checked("POST", "/session", &[("host", "127.0.0.1:4000"), ("sec-fetch-site", "same-origin"), ("origin", OWN)]).unwrap();
    }

    #[test]
    fn another_name_is_refused() {
        for host in
            ["rebind.example:4000", "localhost:4000", "127.0.0.1", "127.0.0.1:4001", "127.0.0.1:4000 ", "u@127.0.0.1:4000", "[::1]:4000"]
        {
            checked("GET", "/", &[("host", host)]).unwrap_err();
        }
        checked("GET", "/", &[]).unwrap_err();
        checked("GET", "/", &[("host", "127.0.0.1:4000"), ("host", "127.0.0.1:4000")]).unwrap_err();
        checked("GET", "http://127.0.0.1:4000/", &[("host", "127.0.0.1:4000")]).unwrap_err();
    }

    #[test]
    fn another_page_is_refused() {
        let host = ("host", "127.0.0.1:4000");
        for site in ["cross-site", "same-site", ""] {
            checked("GET", "/", &[host, ("sec-fetch-site", site)]).unwrap_err();
        }
        for origin in ["http://127.0.0.1:4001", "https://127.0.0.1:4000", "http://localhost:4000", "null", ""] {
            checked("GET", "/api/leases", &[host, ("origin", origin)]).unwrap_err();
            checked("POST", "/api/revoke", &[host, ("origin", origin)]).unwrap_err();
        }
        checked("POST", "/api/revoke", &[host]).unwrap_err();
        checked("POST", "/api/revoke", &[host, ("origin", OWN), ("origin", OWN)]).unwrap_err();
    }

    #[test]
    fn the_cookie_is_found_among_those_of_other_servers() {
        let mut headers = HeaderMap::new();
        headers.insert(COOKIE, "keygress_40=x; keygress_4000=abc; other=1".parse().unwrap());
        let guard = Guard::new("127.0.0.1:4000".parse().unwrap());
        assert_eq!(guard.cookie(&headers), Some("abc"));
        assert_eq!(guard.cookie(&HeaderMap::new()), None);
        headers.insert(AUTHORIZATION, "Bearer abc".parse().unwrap());
        assert_eq!(bearer(&headers), Some("abc"));
        headers.insert(AUTHORIZATION, "Basic abc".parse().unwrap());
        assert_eq!(bearer(&headers), None);
    }
}
