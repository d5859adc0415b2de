use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use keygress_policy::preset;
use serde_json::Value;
use zeroize::Zeroizing;

use super::{Found, Kind, Login};

/// The tokens of `gh`: its `hosts.yml`.
///
/// # Errors
/// Where the file is not of that form.
pub fn gh(text: &str, file: &str) -> Result<Found, String> {
    let hosts: Value = serde_saphyr::from_str(text).map_err(|_| format!("`{file}` is no `hosts.yml` of gh"))?;
    let hosts = hosts.as_object().ok_or_else(|| format!("`{file}` is no `hosts.yml` of gh"))?;
    let mut found = Found::default();
    for (host, login) in hosts {
        let from = format!("the login of `gh` at {host} in `{file}`");
        let Some(token) = login.get("oauth_token").and_then(Value::as_str).filter(|token| !token.is_empty()) else {
            found
                .passed_over
                .push(format!("{from}: gh keeps it in the keyring of the system; `gh auth token --hostname {host}` prints it"));
            continue;
        };
        let Some(preset) = preset::find("github") else { continue };
        let (name, hosts) = match host.as_str() {
            "github.com" => ("github".to_owned(), Vec::new()),
            other => (super::name(&format!("github-{other}")), vec![other.to_owned()]),
        };
        let kind = Kind::Key { preset, hosts, value: Zeroizing::new(token.to_owned()) };
        found.logins.push(Login { from, name, kind, remedy: format!("`gh auth logout --hostname {host}`") });
    }
    Ok(found)
}

/// The long-lived keys of one profile of AWS: its `credentials` file.
///
/// # Errors
/// Where the profile is not there, or has no keys.
pub fn aws(text: &str, file: &str, profile: &str, region: &str) -> Result<Found, String> {
    let mut section = "";
    let mut value = [const { None }; 3];
    let names = ["aws_access_key_id", "aws_secret_access_key", "aws_session_token"];
    for line in text.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            section = name.trim();
        } else if let Some((name, text)) = line.split_once('=').filter(|_| section == profile) {
            let places = names.iter().zip(&mut value).find(|(known, _)| **known == name.trim());
            if let Some((_, place)) = places {
                *place = Some(Zeroizing::new(text.trim().to_owned()));
            }
        }
    }
    let from = format!("the profile `{profile}` in `{file}`");
    match value {
        [Some(_), Some(_), Some(_)] => {
            let why = format!("{from}: it is a session that ends by itself; take `aws_assume_role` or `aws_web_identity` in its place");
            Ok(Found { passed_over: vec![why], ..Found::default() })
        }
        [Some(id), Some(secret_access_key), None] => {
            let (access_key_id, region) = (id.to_string(), region.to_owned());
            let kind = Kind::Aws { access_key_id, secret_access_key, region };
            let remedy = format!("take the keys out of `{file}`, and have IAM deactivate them as soon as a role takes their place");
            Ok(Found { logins: vec![Login { from, name: super::name(&format!("aws-{profile}")), kind, remedy }], ..Found::default() })
        }
        _ => Err(format!("{from} has no `aws_access_key_id` and `aws_secret_access_key`")),
    }
}

/// What gcloud keeps for programs: `application_default_credentials.json`, or the key file of a service account.
///
/// # Errors
/// Where the file is of another form.
pub fn gcloud(text: &str, file: &str) -> Result<Found, String> {
    let form = || format!("`{file}` is neither a login of a person nor the key of a service account");
    let json: Value = serde_json::from_str(text).map_err(|_| form())?;
    let member = |name: &str| json.get(name).and_then(Value::as_str).ok_or_else(form);
    let secret = |name: &str| member(name).map(|text| Zeroizing::new(text.to_owned()));
    let from = format!("`{file}`");
    let login = match member("type")? {
        "service_account" => {
            let remedy = format!("delete `{file}`, and the key at Google as soon as `gcp_workload_identity` takes its place");
            Login {
                from,
                name: "gcp-service-account".to_owned(),
                kind: Kind::ServiceAccount { key_file: Zeroizing::new(text.to_owned()) },
                remedy,
            }
        }
        "authorized_user" => {
            let (client_id, client_secret) = (member("client_id")?.to_owned(), secret("client_secret")?);
            let kind = Kind::Refresh { client_id, client_secret, refresh_token: secret("refresh_token")? };
            // Revoking it there would end the login that was imported.
            Login {
                from,
                name: "gcloud".to_owned(),
                kind,
                remedy: format!("delete `{file}` (`gcloud auth application-default revoke` would end what was imported, too)"),
            }
        }
        _ => return Err(form()),
    };
    Ok(Found { logins: vec![login], ..Found::default() })
}

/// The logins at registries: docker's `config.json`.
///
/// # Errors
/// Where the file is not of that form.
pub fn docker(text: &str, file: &str) -> Result<Found, String> {
    let json: Value = serde_json::from_str(text).map_err(|_| format!("`{file}` is no `config.json` of docker"))?;
    let mut found = Found::default();
    for (registry, login) in json.get("auths").and_then(Value::as_object).into_iter().flatten() {
        let from = format!("the login at {registry} in `{file}`");
        let host = registry.trim_start_matches("https://").split('/').next().unwrap_or_default();
        if host == "index.docker.io" || host == "docker.io" {
            found.passed_over.push(format!("{from}: Docker Hub exchanges it at auth.docker.io for tokens; write that rule by hand"));
            continue;
        }
        let pair = login.get("auth").and_then(Value::as_str).and_then(|code| STANDARD.decode(code).ok());
        let pair = pair.map(Zeroizing::new).and_then(|pair| std::str::from_utf8(&pair).ok().map(|pair| Zeroizing::new(pair.to_owned())));
        let Some((user, password)) = pair.as_ref().and_then(|pair| pair.split_once(':')).filter(|(_, password)| !password.is_empty())
        else {
            found.passed_over.push(format!("{from}: a helper of docker keeps it (`credsStore`, `credHelpers`)"));
            continue;
        };
        let kind = Kind::Registry { host: host.to_owned(), user: user.to_owned(), password: Zeroizing::new(password.to_owned()) };
        found.logins.push(Login {
            from,
            name: super::name(&format!("registry-{host}")),
            kind,
            remedy: format!("`docker logout {registry}`"),
        });
    }
    Ok(found)
}
