//! The servers of the harness, asked without keygress: they refuse what is wrong, so that an allow through keygress means something.

use keygress_tests::client::{bare, output, plain_curl};
use keygress_tests::servers::echo::{Echo, only};
use keygress_tests::servers::git::Git;
use keygress_tests::servers::grpc::Grpc;
use keygress_tests::servers::issuer::{self, Issuer};
use keygress_tests::servers::moto::Moto;
use keygress_tests::servers::nginx::Nginx;
use keygress_tests::site::{Site, canary};
use keygress_tests::tools;
use serde_json::Value;

#[test]
fn echo_remembers_what_arrives() {
    let site = Site::new().unwrap();
    let echo = Echo::start(&site, "echo.test").unwrap();
    let url = format!("https://echo.test:{}/things?x=1", echo.port);
    let printed = output(plain_curl(&site, "echo.test", echo.port).unwrap().args(["--data", "abc", "--header", "X-One: 1", &url])).unwrap();
    assert_eq!(printed, "hello\n");
    let seen = only(echo.seen()).unwrap();
    let head = output(plain_curl(&site, "echo.test", echo.port).unwrap().args(["--head", "--http2", &url])).unwrap();
    assert!(head.starts_with("HTTP/2 200"), "{head}");
    assert_eq!((seen.method.as_str(), seen.target.as_str(), seen.body_bytes), ("POST", "/things?x=1", 3));
    assert_eq!(seen.values("x-one"), ["1"]);
}

#[test]
fn nginx_lets_nobody_pass_without_the_right_credential() {
    let site = Site::new().unwrap();
    let key = canary().unwrap();
    let nginx = Nginx::guarding(&site, "nginx.test", &format!("Bearer {key}")).unwrap();
    let url = format!("https://nginx.test:{}/", nginx.port);
    let curl = |header: &str| output(plain_curl(&site, "nginx.test", nginx.port).unwrap().args(["--header", header, &url])).unwrap();
    assert_eq!(curl("X-Nothing: 1"), "empty\n");
    assert_eq!(curl("Authorization: Bearer wrong"), "foreign\n");
    assert_eq!(curl(&format!("Authorization: Bearer {key}")), "injected HTTP/2.0\n");
}

#[test]
fn the_issuer_issues_introspects_and_revokes() {
    let site = Site::new().unwrap();
    let issuer = Issuer::start(&site, 300).unwrap();
    let curl = |user: &str, data: &str, path: &str| {
        let mut command = plain_curl(&site, issuer::HOST, issuer.port).unwrap();
        output(command.args(["--user", user, "--data", data, &issuer.url(path)])).unwrap()
    };
    let user = format!("basic:{}", issuer.basic_secret);
    assert!(curl("basic:wrong", "grant_type=client_credentials", "/token").contains("invalid_client"));
    let issued: Value = serde_json::from_str(&curl(&user, "grant_type=client_credentials", "/token")).unwrap();
    let token = issued["access_token"].as_str().unwrap();
    assert!(issuer.is_active(&site, token).unwrap());
    assert_eq!(issuer.issued(), 1);
    curl(&user, &format!("token={token}"), "/token/revocation");
    assert!(!issuer.is_active(&site, token).unwrap());
}

#[test]
fn git_clones_only_with_the_right_password() {
    let site = Site::new().unwrap();
    let git = Git::start(&site, "git.test", "Basic cmVhZGVyOnBhc3N3b3Jk").unwrap();
    let clone = |user: &str, into: &str| {
        let url = format!("https://{user}@git.test:{}/repository.git", git.nginx.port);
        let resolve = format!("http.curloptResolve=git.test:{}:127.0.0.1", git.nginx.port);
        let mut command = bare(tools::program("git").unwrap());
        command.args(["-c", &resolve, "clone", "--quiet", &url, into]).current_dir(site.folder());
        output(command.env("GIT_SSL_CAINFO", site.upstream_ca()).env("GIT_TERMINAL_PROMPT", "0"))
    };
    assert!(clone("reader:wrong", "no").is_err());
    clone("reader:password", "yes").unwrap();
    assert_eq!(std::fs::read_to_string(site.folder().join("yes/hello.txt")).unwrap(), "hello from the repository\n");
}

#[test]
fn grpc_answers_and_tells_who_called() {
    let site = Site::new().unwrap();
    let grpc = Grpc::start(&site, "localhost").unwrap();
    let mut client = bare(tools::python().unwrap());
    client.arg(tools::root().join("tests/clients/grpc_client.py")).arg(format!("localhost:{}", grpc.port));
    let printed = output(client.env("GRPC_DEFAULT_SSL_ROOTS_FILE_PATH", site.upstream_ca())).unwrap();
    assert!(printed.contains("said hello"), "{printed}");
    assert!(printed.contains("UNIMPLEMENTED"), "{printed}");
    assert_eq!(grpc.authorizations()[0], "Bearer own-key-of-the-application");
}

#[test]
fn moto_verifies_every_signature() {
    let site = Site::new().unwrap();
    let moto = Moto::start(&site).unwrap();
    let client = |id: &str, secret: &str| {
        let mut client = bare(tools::python().unwrap());
        client.args([
            "-c",
            "import boto3, sys; print(boto3.client('sts', endpoint_url=sys.argv[1]).get_caller_identity()['Arn'])",
            &moto.url(),
        ]);
        client.env("AWS_CA_BUNDLE", site.upstream_ca()).envs([("AWS_ACCESS_KEY_ID", id), ("AWS_SECRET_ACCESS_KEY", secret)]);
        output(client.env("AWS_DEFAULT_REGION", "eu-west-1"))
    };
    assert!(client(&moto.access_key_id, &moto.secret_access_key).unwrap().ends_with(":user/keygress\n"));
    assert!(client(&moto.access_key_id, "wrong").unwrap_err().to_string().contains("SignatureDoesNotMatch"));
    assert!(client("AKIADUMMYDUMMYDUMMY", "wrong").unwrap_err().to_string().contains("InvalidClientTokenId"));
}
