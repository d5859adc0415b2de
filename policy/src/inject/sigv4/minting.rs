use http::request::Parts;

use super::super::pairs;
use super::Scope;

/// Actions whose answer is a credential, by the service that they are signed for.
const ACTIONS: [(&str, &[&str]); 5] = [
    ("cognito-identity", &["GetCredentialsForIdentity", "GetOpenIdToken", "GetOpenIdTokenForDeveloperIdentity"]),
    ("ecr", &["GetAuthorizationToken"]),
    ("ecr-public", &["GetAuthorizationToken"]),
    (
        "iam",
        &[
            "CreateAccessKey",
            "CreateLoginProfile",
            "CreateServiceSpecificCredential",
            "ResetServiceSpecificCredential",
            "UpdateLoginProfile",
        ],
    ),
    (
        "sts",
        &[
            "AssumeRole",
            "AssumeRoleWithSAML",
            "AssumeRoleWithWebIdentity",
            "AssumeRoot",
            "GetDelegatedAccessToken",
            "GetFederationToken",
            "GetSessionToken",
            "GetWebIdentityToken",
        ],
    ),
];

/// Services whose action stands in the query or in a form, where no path shows it.
const BY_FORM: [&str; 2] = ["iam", "sts"];

/// Whether the body must be read to know what is asked.
pub(super) fn reads_body(service: &str) -> bool {
    BY_FORM.contains(&service)
}

/// Whether a word names such an action of some service.
pub(super) fn is_action(word: &str) -> bool {
    ACTIONS.iter().any(|(_, actions)| actions.contains(&word))
}

/// Refuses what would answer with a credential, unless the policy names the action.
pub(super) fn refuse(head: &Parts, scope: Scope<'_>, body: Option<&[u8]>, allowed: &[String]) -> Result<(), String> {
    let Some((_, listed)) = ACTIONS.iter().find(|(service, _)| *service == scope.service) else { return Ok(()) };
    let targets = head.headers.get_all("x-amz-target").iter().filter_map(|target| target.to_str().ok()?.rsplit('.').next());
    let mut asked: Vec<String> = targets.map(str::to_owned).collect();
    if reads_body(scope.service) {
        let form = body.and_then(|body| std::str::from_utf8(body).ok()).ok_or("the body must be read before it is signed")?;
        let query = head.uri.query().unwrap_or_default();
        let actions = pairs::pairs(query).chain(pairs::pairs(form)).filter(|pair| pairs::is_spelling_of(pair.key, "action"));
        asked.extend(actions.map(|pair| String::from_utf8_lossy(&pairs::decode(pair.value)).trim().to_owned()));
        if asked.len() != 1 {
            return Err(format!("a request to `{}` must name one `Action`", scope.service));
        }
    }
    let minted = asked.iter().find_map(|asked| listed.iter().find(|action| action.eq_ignore_ascii_case(asked)));
    match minted.filter(|action| !allowed.iter().any(|allowed| allowed == *action)) {
        Some(action) => Err(format!("`{action}` answers with a credential, and `mints` does not name it")),
        None => Ok(()),
    }
}
