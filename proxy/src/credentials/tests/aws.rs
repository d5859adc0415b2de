use keygress_policy::Source as _;

use super::*;

fn complaints(yaml: &str) -> Vec<String> {
    source_of(yaml).complaints().into_iter().map(|(message, _)| message).collect()
}

#[test]
fn what_is_wrong_with_a_role_is_said_when_the_policy_loads() {
    let web = |more: &str| complaints(&format!("aws_web_identity: {{ token: {{ file: /run/token }}, {more} }}"));
    assert_eq!(web("role_arn: \"arn:aws:iam::1:role/a\", region: eu-west-1, policy: '{}'"), Vec::<String>::new());
    assert_eq!(
        web("role_arn: a, region: EU, endpoint: \"http://sts.test/\", policy: '[]', policy_arns: [b], session: \"{who}\""),
        [
            "`a` is not the ARN of a role",
            "`EU` is not a name for `regions`",
            "`http://sts.test/` is not `https`: a secret goes there, so only loopback may be plain `http`",
            "`policy` is not a JSON object",
            "`{who}` holds a brace that opens no word",
            "`b` is not the ARN of a policy",
        ]
    );
    let role = |more: &str| complaints(&format!("aws_assume_role: {{ role_arn: \"arn:aws:iam::1:role/a\", {more} }}"));
    assert_eq!(role("from: { file: { path: /run/key, access_key_id: AKIA1 } }"), Vec::<String>::new());
    assert_eq!(
        role("from: { file: /run/key }, tags: { a: \"{b}\" }, transitive_tags: [c]"),
        [
            "`from` of `aws_assume_role` needs AWS keys, but `file` yields a token",
            "`c` is not among `tags`",
            "`{b}` holds a brace that opens no word"
        ]
    );
    let short = "aws_web_identity: { role_arn: x, token: { file: /run/token }, duration: 10m }";
    assert!(serde_saphyr::from_str::<Source>(short).unwrap_err().to_string().contains("between `15m` and `12h`"));
}

#[test]
fn a_chain_of_roles_follows_the_file_at_its_end() {
    let chain = source_of(
        "aws_assume_role: { role_arn: a, from: { aws_assume_role: { role_arn: b, from: { file: { path: /run/key, access_key_id: A } } } } }",
    );
    assert_eq!(chain.provider().files(), [PathBuf::from("/run/key")]);
}
