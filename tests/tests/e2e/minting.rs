//! Requests whose answer is a credential are refused, unless a rule names them in full; then that is on record.

use keygress_tests::client::curl_reply;
use keygress_tests::proxy::Proxy;
use keygress_tests::servers::echo::Echo;
use keygress_tests::site::{Site, canary};
use keygress_tests::tools;

#[test]
fn a_pattern_does_not_let_one_out_and_an_entry_that_names_it_does() {
    let site = Site::new().unwrap();
    let echo = Echo::start(&site, "bao.test").unwrap();
    let file = site.write_secret("key", &canary().unwrap()).unwrap();
    let policy = format!(
        "version: 1
credentials:
  bao:
    owner: tests@example.com
    static: {{ reason: a test, expires: 2099-12-31 }}
    source: {{ file: {} }}
    inject: {{ header: {{ name: x-vault-token }} }}
    only_to: [bao.test]
rules:
  wide:
    from: any
    to: https://bao.test:{port}
    allow_ips: [127.0.0.0/8]
    allow: ['* /v1/**']
    credential: bao
  named:
    from: any
    to: https://bao.test:{port}
    allow_ips: [127.0.0.0/8]
    allow: [POST /v1/auth/token/create/ci]
    credential: bao
",
        file.display(),
        port = echo.port
    );
    let proxy = Proxy::start(&site, &policy).unwrap();
    let post = |path: &str| {
        let mut curl = proxy.client(tools::program("curl").unwrap());
        curl.args(["--silent", "--show-error", "--max-time", "60", "--data", "{}"]).arg(format!("https://bao.test:{}{path}", echo.port));
        curl_reply(&mut curl).unwrap().0
    };
    for refused in
        ["/v1/auth/token/create", "/v1/auth/token/create/other", "/v1/auth/token/create/", "/v1/database/creds/admin", "/v1/pki/issue/web"]
    {
        let reply = post(refused);
        assert!(
            reply.status == 403 && reply.body.contains("\"code\":\"minting\"") && reply.body.contains("\"rule\":\"wide\""),
            "{refused}: {reply:?}"
        );
    }
    assert!(echo.seen().is_empty(), "what is refused never leaves");
    assert_eq!(post("/v1/auth/token/create/ci").status, 200);
    assert_eq!(post("/v1/secret/data/app").status, 200);
    assert_eq!(echo.seen().len(), 2);
    let mints: Vec<_> = proxy.records().unwrap().into_iter().filter(|record| record["keygress"]["mints"] == true).collect();
    assert_eq!(mints.len(), 1, "{mints:?}");
    assert_eq!((mints[0]["activity"].as_str(), mints[0]["keygress"]["rule"].as_str()), (Some("used"), Some("named")));
}
