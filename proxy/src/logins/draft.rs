use std::fmt::Write;

use serde_json::json;

use super::{Kind, Login};

/// Where the secrets of a draft are.
pub trait Place {
    /// The `source` of a secret of this login, after the keys that say what it is; writes it there, where it is to be written.
    ///
    /// # Errors
    /// Where it cannot be written or sealed.
    fn source(&mut self, name: &str, keys: &[(&str, &str)], value: &str) -> Result<String, String>;

    /// The path of a file of this login, which a provider reads itself.
    ///
    /// # Errors
    /// Where it cannot be written, or nothing but sealed values may be.
    fn file(&mut self, name: &str, value: &str) -> Result<String, String>;
}

/// A policy for these logins that reads and does nothing else. `expires` is the date by which each static key is to be exchanged.
///
/// # Errors
/// As the place says.
pub fn draft(logins: &[Login], owner: &str, expires: &str, place: &mut impl Place) -> Result<String, String> {
    let (mut credentials, mut rules, mut tests) = (String::new(), String::new(), String::new());
    for login in logins {
        let Parts { source, more, paths, is_static } = parts(login, place)?;
        let name = &login.name;
        let _ = writeln!(credentials, "  {name}:    # from {}\n    owner: {}", login.from, json!(owner));
        if is_static {
            let _ =
                writeln!(credentials, "    static: {{ reason: {}, expires: {expires} }}", json!(format!("imported from {}", login.from)));
        }
        let _ = writeln!(credentials, "    source: {source}\n{more}");
        for (number, host) in login.kind.hosts().iter().enumerate() {
            let rule = if number == 0 { name.clone() } else { format!("{name}-host-{}", number + 1) };
            let _ = writeln!(rules, "  {rule}:\n    from: [imported]\n    to: {}", json!(format!("https://{host}")));
            let _ = writeln!(
                rules,
                "    allow: {}\n    credential: {name}",
                json!(paths.iter().map(|path| format!("GET {path}")).collect::<Vec<_>>())
            );
            let at = format!("https://{host}{}", paths.first().map_or("/", |path| path.trim_end_matches("/**")));
            let _ = writeln!(
                tests,
                "  - {{ request: {}, from: imported, expect: {{ rule: {rule}, credential: {name} }} }}",
                json!(format!("GET {at}"))
            );
            let _ = writeln!(tests, "  - {{ request: {}, from: imported, expect: deny }}", json!(format!("DELETE {at}")));
        }
    }
    Ok(format!(
        "# Written by `keygress import`. It lets the task read and do nothing else: narrow `allow` to what it needs, and take away what it does not.\n\
         version: 1\n\nworkloads:\n  imported: {{ task: {{ labels: {{ kind: imported }} }} }}\n\ncredentials:\n{credentials}\nrules:\n{rules}\ntests:\n{tests}"
    ))
}

/// What the policy says of one login.
struct Parts {
    source: String,
    more: String,
    paths: Vec<&'static str>,
    is_static: bool,
}

fn parts(login: &Login, place: &mut impl Place) -> Result<Parts, String> {
    let (name, hosts) = (&login.name, login.kind.hosts());
    let only_to = |hosts: &[String]| format!("    only_to: {}\n", json!(hosts));
    let parts = match &login.kind {
        Kind::Key { preset, hosts: own, value } => {
            let own = if own.is_empty() { String::new() } else { only_to(own) };
            let more = format!("    preset: {}\n{own}    placeholder: {{}}\n", preset.name);
            Parts { source: place.source(name, &[], value)?, more, paths: vec!["/**"], is_static: true }
        }
        Kind::Registry { user, password, .. } => {
            let source = place.source(name, &[("user", user)], password)?;
            Parts { source, more: format!("    inject: basic\n{}", only_to(&hosts)), paths: vec!["/v2/**"], is_static: true }
        }
        Kind::Aws { access_key_id, secret_access_key, region } => {
            let only_to = only_to(&[hosts.concat(), format!("*.s3.{region}.amazonaws.com")]);
            let signs = format!("    inject: {{ sigv4: {{ services: [s3], regions: {} }} }}\n", json!([region]));
            let source = place.source(name, &[("access_key_id", access_key_id)], secret_access_key)?;
            Parts { source, more: format!("{signs}{only_to}"), paths: vec!["/**"], is_static: true }
        }
        Kind::ServiceAccount { key_file } => {
            let scope = "https://www.googleapis.com/auth/devstorage.read_only";
            let key_file = place.file(name, key_file)?;
            let source = json!({ "gcp_service_account": { "key_file": key_file, "token": { "scope": [scope] } } }).to_string();
            Parts { source, more: format!("    inject: bearer\n{}", only_to(&hosts)), paths: vec!["/storage/v1/**"], is_static: false }
        }
        Kind::Refresh { client_id, client_secret, refresh_token } => {
            let source = json!({ "oauth2_refresh_token": {
                "token_url": "https://oauth2.googleapis.com/token",
                "client_id": client_id,
                "client_secret": { "file": place.file(&format!("{name}-client-secret"), client_secret)? },
                "refresh_token_file": place.file(name, refresh_token)?
            } });
            let more = format!("    inject: bearer\n{}", only_to(&hosts));
            Parts { source: source.to_string(), more, paths: vec!["/storage/v1/**"], is_static: false }
        }
    };
    Ok(parts)
}
