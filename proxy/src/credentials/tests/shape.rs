use keygress_policy::Source as _;

use super::*;

#[test]
fn the_yaml_key_of_a_provider_is_its_kind() {
    for yaml in [
        "file: /run/key",
        "exec: { command: [/usr/bin/issue] }",
        "environment: API_KEY",
        "sealed: { value: \"kgs1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\", key_file: /run/key }",
        "oauth2_client_credentials: { token_url: \"https://issuer.test/\", client_id: id, client_secret: { environment: SECRET } }",
        "oauth2_refresh_token: { token_url: \"https://issuer.test/\", client_id: id, refresh_token_file: /var/lib/keygress/token }",
        "oauth2_jwt_bearer: { token_url: \"https://issuer.test/\", assertion: { file: /run/token } }",
        "oauth2_token_exchange: { token_url: \"https://issuer.test/\", subject: { file: /run/token } }",
        "self_signed_jwt: { key: { file: /run/key.pem, algorithm: EdDSA }, claims: { sub: \"{workload}\" } }",
        "openbao: { address: \"https://bao.test\", auth: { token_file: /run/t }, secret: { dynamic: { path: db/creds/a } }, field: password }",
        "gcp_workload_identity: { audience: //iam.googleapis.com/projects/1/x, subject: { file: /run/token } }",
        "gcp_metadata: { service_account: default }",
        "azure_managed_identity: { resource: \"https://vault.azure.net\" }",
        "gcp_service_account: { key_file: /run/key.json, token: { scope: [a] } }",
        "gcp_secret_manager: { from: { gcp_metadata: {} }, secret: projects/acme/secrets/maps }",
        "azure_key_vault: { from: { file: /run/t }, vault_url: \"https://acme.vault.azure.net\", secret: maps }",
        "kubernetes_secret: { namespace: a, name: b, field: c }",
        "kubernetes_token: { namespace: a, service_account: b, audience: c }",
        "github_app: { app: Iv1.x, key_file: /run/key.pem, installation: 1, permissions: { contents: read } }",
        "aws_web_identity: { role_arn: \"arn:aws:iam::1:role/a\", token: { file: /run/token } }",
        "aws_assume_role: { role_arn: \"arn:aws:iam::1:role/a\", from: { file: { path: /run/key, access_key_id: AKIA1 } } }",
        "spiffe_jwt: { socket: /run/agent.sock, audience: orders }",
        "spiffe_x509: { socket: /run/agent.sock }",
        "aws_container: {}",
        "aws_instance: {}",
        "aws_secrets_manager: { from: { aws_instance: {} }, secret: maps, region: eu-west-1 }",
        "aws_parameter_store: { from: { aws_container: {} }, parameter: /maps, region: eu-west-1 }",
    ] {
        let source = source_of(yaml);
        assert_eq!(yaml.split(':').next(), Some(source.kind()));
        assert_eq!(source.complaints(), [], "{yaml}");
        let is_static = ["file", "environment", "sealed", "gcp_secret_manager", "azure_key_vault", "kubernetes_secret"]
            .contains(&source.kind())
            || source.kind().starts_with("aws_") && source.yields() != MaterialKind::AwsKeys;
        assert_eq!(source.is_static(), is_static, "{yaml}");
    }
}

#[test]
fn the_schema_knows_every_provider_and_both_spellings_of_a_file() {
    let schema = serde_json::to_string(&schemars::schema_for!(Source)).unwrap();
    for key in ["file", "exec", "environment", "oauth2_client_credentials", "rotates", "command", "yields", "token_url", "revocation_url"] {
        assert!(schema.contains(&format!("\"{key}\"")), "{key}: {schema}");
    }
    let file = serde_json::to_value(schemars::schema_for!(file::File)).unwrap();
    assert_eq!(file["anyOf"][0]["type"], "string", "{file}");
}

#[test]
fn a_mistake_in_a_shape_has_its_place() {
    #[derive(Debug, Deserialize)]
    struct Document {
        #[expect(dead_code, reason = "only read")]
        source: Source,
    }
    for (yaml, line, word) in [
        ("source:\n  file:\n    path: /run/key\n    pass: x\n", 4, "pass"),
        ("source:\n  exec:\n    command: [a]\n    timeout: soon\n", 4, "soon"),
        ("source:\n  fyle: /run/key\n", 2, "fyle"),
    ] {
        let error = serde_saphyr::from_str::<Document>(yaml).unwrap_err();
        assert!(error.to_string().contains(word), "{error}");
        assert_eq!(error.location().map(|location| location.line()), Some(line), "{error}");
    }
}
