//! A GitHub App: a token for the named repositories and permissions, put on by keygress, and held to them by GitHub as `emulate` has it.

use keygress_tests::client::{Reply, curl_reply};
use keygress_tests::proxy::Proxy;
use keygress_tests::servers::github::GitHub;
use keygress_tests::site::Site;
use keygress_tests::tools;

struct World {
    _site: Site,
    github: GitHub,
    proxy: Proxy,
}

impl World {
    fn new(app: &str, installation: u64, permissions: &str) -> Self {
        let site = Site::new().unwrap();
        let github = GitHub::start(&site).unwrap();
        let policy = format!(
            "version: 1
credentials:
  github:
    owner: tests@example.com
    source:
      github_app:
        app: \"{app}\"
        key_file: {}
        installation: {installation}
        repositories: [site]
        permissions: {permissions}
        api_url: http://127.0.0.1:{port}
    inject: bearer
    only_to: [localhost]
rules:
  github:
    from: any
    to: http://localhost:{port}
    unsafe_plaintext: true
    allow_ips: [127.0.0.0/8]
    allow: [GET /repos/acme/**]
    credential: github
",
            github.key.display(),
            port = github.port
        );
        let proxy = Proxy::start(&site, &policy).unwrap();
        Self { _site: site, github, proxy }
    }

    fn get(&self, path: &str) -> Reply {
        let url = format!("http://localhost:{}{path}", self.github.port);
        let mut curl = self.proxy.client(tools::program("curl").unwrap());
        curl_reply(curl.args(["--silent", "--show-error", "--max-time", "60", "--noproxy", "", &url])).unwrap().0
    }
}

#[test]
fn an_installation_token_reads_the_repository_that_the_policy_names_and_no_other() {
    let world = World::new("12345", 100, "{ contents: read }");
    let site = world.get("/repos/acme/site");
    assert_eq!(site.status, 200, "{site:?}");
    assert!(site.body.contains("\"acme/site\""), "{site:?}");
    let secrets = world.get("/repos/acme/secrets");
    assert!([403, 404].contains(&secrets.status), "{secrets:?}");
}

#[test]
fn what_the_installation_does_not_grant_is_not_minted() {
    for (app, installation, permissions, why) in [
        ("12345", 100, "{ administration: write }", "GitHub answered 422"),
        ("12345", 101, "{ contents: read }", "GitHub answered 404: the App has no such `installation`"),
        ("54321", 100, "{ contents: read }", "GitHub answered 401: `app` and `key_file` do not belong together"),
    ] {
        let world = World::new(app, installation, permissions);
        let reply = world.get("/repos/acme/site");
        assert_eq!(reply.status, 503, "{reply:?}");
        assert!(reply.body.contains(why), "{reply:?}");
    }
}
