//! AWS through keygress: boto3 signs with keys of no worth, moto verifies what arrives.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use keygress_tests::client::{Reply, replies};
use keygress_tests::proxy::Proxy;
use keygress_tests::servers::moto::{HOST, Moto};
use keygress_tests::site::Site;
use keygress_tests::tools;

use crate::world::{STATIC, put_on};

struct World {
    site: Site,
    moto: Moto,
}

impl World {
    fn new() -> Self {
        let site = Site::new().unwrap();
        let moto = Moto::start(&site).unwrap();
        Self { site, moto }
    }

    /// The long-lived keys of moto's user, with this secret.
    fn keys(&self, secret: &str) -> String {
        let path = self.site.write_secret("aws-secret-key", secret).unwrap();
        format!("file: {{ path: {}, access_key_id: {} }}", path.display(), self.moto.access_key_id)
    }

    /// The proxy in front of moto, which signs for one service.
    fn proxy(&self, source: &str, service: &str) -> Proxy {
        let port = self.moto.port;
        let terms = if source.starts_with("file") { "static: { reason: a test, expires: 2099-12-31 }" } else { "labels: {}" };
        let policy = format!(
            "version: 1
credentials:
  aws:
    owner: tests@example.com
    {terms}
    source: {{ {source} }}
    inject: {{ sigv4: {{ services: [{service}], regions: [eu-west-1] }} }}
    only_to: [{HOST}]
rules:
  aws:
    from: any
    to: https://{HOST}:{port}
    allow_ips: [127.0.0.0/8, '::1/128']
    allow: [POST /, PUT /things/**, GET /things, GET /things/**]
    credential: aws
"
        );
        Proxy::start(&self.site, &policy).unwrap()
    }

    fn boto3(&self, proxy: &Proxy, tasks: &[&str]) -> Vec<Reply> {
        let mut python = proxy.client(tools::python().unwrap());
        python.arg(tools::root().join("tests/clients/boto3_client.py")).arg(self.moto.url()).args(tasks);
        replies(&mut python).unwrap()
    }

    fn read(&self, proxy: &Proxy, tasks: &[&str]) -> Vec<String> {
        let replies = self.boto3(proxy, tasks);
        assert!(replies.iter().all(|reply| reply.status == 200), "{replies:?}");
        replies.into_iter().map(|reply| reply.body).collect()
    }
}

#[test]
fn s3_takes_what_keygress_signed_for_every_way_to_send_a_body() {
    let world = World::new();
    let proxy = world.proxy(&world.keys(&world.moto.secret_access_key), "s3");
    let read = world.read(&proxy, &["hashed", "streamed", "unsigned", "chunked", "spaced"]);
    assert_eq!(read, ["a body with a hash", "3000000", "a body of its own", "first, second", "spaced True"]);
    let asked = world.moto.asked();
    for (name, hash) in [
        ("streamed", "STREAMING-UNSIGNED-PAYLOAD-TRAILER"),
        ("unsigned", "UNSIGNED-PAYLOAD"),
        ("chunked", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"),
    ] {
        assert!(asked.iter().any(|line| line.starts_with(&format!("PUT /things/{name} {hash} "))), "{asked:?}");
    }
    assert!(asked.iter().any(|line| line.starts_with("PUT /things/hashed ") && line.split(' ').nth(2).unwrap().len() == 64), "{asked:?}");
}

#[test]
fn the_aws_command_line_puts_and_gets_with_keys_of_no_worth() {
    let world = World::new();
    let proxy = world.proxy(&world.keys(&world.moto.secret_access_key), "s3");
    let config = world.site.write("aws-config", "[default]\nregion = eu-west-1\ns3 =\n    addressing_style = path\n").unwrap();
    let (sent, got) = (world.site.write("sent", "from the command line").unwrap(), world.site.folder().join("got"));
    let aws = |task: &str, file: &std::path::Path| {
        let mut command = proxy.client(tools::python().unwrap());
        command.env("AWS_CONFIG_FILE", &config).env("AWS_ACCESS_KEY_ID", "AKIADUMMYDUMMYDUMMY").env("AWS_SECRET_ACCESS_KEY", "worthless");
        command.args(["-m", "awscli", "--endpoint-url", &world.moto.url(), "s3api", task, "--bucket", "things", "--key", "command-line"]);
        if task == "put-object" {
            command.arg("--body").arg(file)
        } else {
            command.arg(file)
        };
        keygress_tests::client::output(&mut command).unwrap()
    };
    aws("put-object", &sent);
    aws("get-object", &got);
    assert_eq!(std::fs::read_to_string(got).unwrap(), "from the command line");
}

#[test]
fn dynamodb_and_sts_take_what_keygress_signed() {
    let world = World::new();
    let keys = world.keys(&world.moto.secret_access_key);
    assert_eq!(world.read(&world.proxy(&keys, "dynamodb"), &["item"]), ["of the table"]);
    let who = "arn:aws:iam::123456789012:user/keygress";
    assert_eq!(world.read(&world.proxy(&keys, "sts"), &["identity", "region"]), [who, who], "the region is the policy's");
}

#[test]
fn a_body_that_ends_among_its_chunks_never_arrives() {
    let world = World::new();
    let proxy = world.proxy(&world.keys(&world.moto.secret_access_key), "s3");
    assert_eq!(world.read(&proxy, &["torn"]), ["502"]);
    assert!(world.moto.asked().iter().all(|line| !line.contains("torn") || !line.ends_with(" 200")), "{:?}", world.moto.asked());
}

#[test]
fn the_keys_of_a_role_sign_one_after_another() {
    let world = World::new();
    let (keys, moto) = (world.keys(&world.moto.secret_access_key), &world.moto);
    let first = format!("aws_assume_role: {{ role_arn: {}, from: {{ {keys} }}, endpoint: {}, session: backup }}", moto.role, moto.url());
    let policy = "'{ \"Version\": \"2012-10-17\", \"Statement\": [] }'";
    let second = format!(
        "aws_assume_role: {{ role_arn: {}, from: {{ {first} }}, endpoint: {}, session: \"{{credential}}-{{task}}\", region: eu-west-1, \
         external_id: outside, tags: {{ who: \"{{workload}}\" }}, transitive_tags: [who], policy: {policy} }}",
        moto.other_role,
        moto.url()
    );
    let as_first = world.read(&world.proxy(&first, "sts"), &["identity"]);
    assert_eq!(as_first, ["arn:aws:sts::123456789012:assumed-role/first/backup"]);
    let as_second = world.read(&world.proxy(&second, "sts"), &["identity"]);
    assert_eq!(as_second, ["arn:aws:sts::123456789012:assumed-role/second/aws-none"]);
    assert_eq!(world.read(&world.proxy(&first, "s3"), &["hashed", "streamed"])[0], "a body with a hash");
}

#[test]
fn the_token_of_another_provider_becomes_the_keys_of_a_role() {
    let world = World::new();
    let token = world.site.write_secret("web-token", "a.web.token").unwrap();
    let moto = &world.moto;
    let source =
        format!("aws_web_identity: {{ role_arn: {}, token: {{ file: {} }}, endpoint: {} }}", moto.role, token.display(), moto.url());
    let who = world.read(&world.proxy(&source, "sts"), &["identity"]);
    assert!(who[0].starts_with("arn:aws:sts::123456789012:assumed-role/first/") && who[0].ends_with("-none"), "{who:?}");
    world.site.write_secret("web-token", "another.token").unwrap();
    let refused = world.boto3(&world.proxy(&source, "sts"), &["identity"]);
    assert!(refused[0].body.contains("the token service answered 400 with `ValidationError`"), "{refused:?}");
}

#[test]
fn what_the_stores_hold_is_read_with_the_keys_of_a_role() {
    let world = World::new();
    let (keys, moto) = (world.keys(&world.moto.secret_access_key), &world.moto);
    let role = format!("aws_assume_role: {{ role_arn: {}, from: {{ {keys} }}, endpoint: {} }}", moto.role, moto.url());
    let store = |kind: &str, from: &str, what: &str| {
        format!("{kind}: {{ from: {{ {from} }}, region: eu-west-1, endpoint: {}, {what} }}", moto.url())
    };
    let login = store("aws_secrets_manager", &role, "secret: prod/login, field: word, user_field: user");
    let expected = format!("Basic {}", BASE64_STANDARD.encode("reports:a-word-in-secrets-manager"));
    assert_eq!(put_on(&world.site, STATIC, &login, "basic"), Ok(expected));
    let key = store("aws_parameter_store", &role, "parameter: /prod/key");
    assert_eq!(put_on(&world.site, STATIC, &key, "bearer"), Ok("Bearer a-key-in-parameter-store".to_owned()));
    let missing = put_on(&world.site, STATIC, &store("aws_secrets_manager", &role, "secret: other"), "bearer").unwrap_err();
    assert!(missing.contains("AWS Secrets Manager answered ") && missing.contains("with `ResourceNotFoundException`"), "{missing}");
    let missing = put_on(&world.site, STATIC, &store("aws_parameter_store", &role, "parameter: /other"), "bearer").unwrap_err();
    assert!(missing.contains("AWS Parameter Store answered ") && missing.contains("with `ParameterNotFound`"), "{missing}");
    let wrong = world.keys("not-the-secret-access-key");
    let refused = put_on(&world.site, STATIC, &store("aws_secrets_manager", &wrong, "secret: prod/login"), "bearer").unwrap_err();
    assert!(refused.contains("AWS Secrets Manager answered 403"), "{refused}");
}

#[test]
fn a_role_that_is_refused_refuses_the_request() {
    let world = World::new();
    let keys = world.keys("not-the-secret-access-key");
    let source = format!("aws_assume_role: {{ role_arn: {}, from: {{ {keys} }}, endpoint: {} }}", world.moto.role, world.moto.url());
    let proxy = world.proxy(&source, "sts");
    let replies = world.boto3(&proxy, &["identity"]);
    assert!(replies[0].status == 0 && replies[0].body.contains("no_credential"), "{replies:?}");
    let records = proxy.records().unwrap();
    let denied = records.iter().find(|record| record["activity"] == "denied").unwrap();
    assert_eq!(denied["keygress"]["code"], "no_credential");
    assert!(denied.to_string().contains("answered 403 with `SignatureDoesNotMatch`"), "{denied}");
}

#[test]
fn a_wrong_secret_signs_for_nothing() {
    let world = World::new();
    let keys = world.keys("not-the-secret-access-key");
    for (service, task) in [("s3", "hashed"), ("s3", "streamed"), ("dynamodb", "item"), ("sts", "identity")] {
        let replies = world.boto3(&world.proxy(&keys, service), &[task]);
        assert!(replies[0].status == 403 && format!("{replies:?}").contains("SignatureDoesNotMatch"), "{replies:?}");
    }
}

#[test]
fn the_secret_access_key_is_on_no_record() {
    let world = World::new();
    let proxy = world.proxy(&world.keys(&world.moto.secret_access_key), "s3");
    world.read(&proxy, &["hashed"]);
    let lines = proxy.record_lines().join("\n");
    assert!(lines.contains("used") && !lines.contains(&world.moto.secret_access_key), "{lines}");
}
