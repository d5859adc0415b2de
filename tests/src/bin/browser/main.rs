//! `browser`: the admin page in Chromium, with a proxy under traffic behind it. `SHOTS=FOLDER` keeps what it looked like.
#![expect(clippy::print_stdout, reason = "it speaks to a terminal")]

use std::process::{Command, ExitCode, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Result, ensure};
use jiff::{Timestamp, ToSpan, tz::TimeZone};
use keygress::config::Detect;
use keygress_tests::client::curl_reply;
use keygress_tests::page::Page;
use keygress_tests::proxy::Proxy;
use keygress_tests::servers::echo::Echo;
use keygress_tests::site::{Site, canary};
use keygress_tests::tools;

/// Between two requests of the traffic.
const PAUSE: Duration = Duration::from_millis(150);

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let (node, modules, chromium) = (tools::node()?, tools::browser_modules()?, tools::program("chromium")?);
    let site = Site::new()?;
    let echo = Echo::start(&site, "echo.test")?;
    let key = canary()?;
    let text = policy(&site, &key, echo.port)?;
    let detect = Detect { settle: Duration::ZERO, ..Detect::default() };
    let proxy = Proxy::start_with(&site, &text, |settings| settings.detect = Some(detect))?;
    let url = |path: &str| format!("https://echo.test:{}{path}", echo.port);
    // What there is to see from the start: a use, a refusal, an alert, a policy that is not taken.
    for (path, header) in [("/hello", "X-Own: 1".to_owned()), ("/refused", "X-Own: 1".to_owned()), ("/hello", format!("X-Found: {key}"))] {
        ask(&proxy, &url(path), &header)?;
    }
    let _: Option<String> = proxy.await_record("\"activity\":\"alert\"");
    ensure!(proxy.reload(&text.replace("inject: bearer", "inject: nothing_such")).is_err(), "a broken policy was taken");

    let page = Page::start(proxy.admin())?;
    let is_over = AtomicBool::new(false);
    let status = std::thread::scope(|scope| {
        scope.spawn(|| {
            let paths = ["/hello", "/hello/again", "/refused", "/marked/%3Cimg%20src=x%20onerror=alert(1)%3E"];
            for path in paths.iter().cycle().take_while(|_| !is_over.load(Ordering::Acquire)) {
                // After the revocation all of it is refused, and that is traffic too.
                drop(ask(&proxy, &url(path), "X-Own: 1"));
                std::thread::sleep(PAUSE);
            }
        });
        let mut browser = Command::new(node);
        browser.arg(modules.join("page.mjs")).env("LINK", page.link()).env("CHROMIUM", chromium).env("DENIED", url("/hello"));
        let status = browser.stdin(Stdio::null()).status();
        is_over.store(true, Ordering::Release);
        status
    })?;
    ensure!(status.success(), "the browser saw something else");
    let refused = ask(&proxy, &url("/hello"), "X-Own: 1")?;
    ensure!(refused == 403, "what was revoked on the page answers {refused}");
    ensure!(proxy.record_lines().iter().any(|line| line.contains("\"activity\":\"stopped\"")), "the stop is not on record");
    Ok(())
}

/// One request through the proxy; its status.
fn ask(proxy: &Proxy, url: &str, header: &str) -> Result<u64> {
    let mut curl = proxy.client(tools::program("curl")?);
    Ok(curl_reply(curl.args(["--silent", "--show-error", "--max-time", "60", "--header", header, url]))?.0.status)
}

/// A credential that is used, and one that is not and ends in a week.
fn policy(site: &Site, secret: &str, port: u16) -> Result<String> {
    let (file, spare) = (site.write_secret("key", secret)?, site.write_secret("spare", &canary()?)?);
    let soon = TimeZone::UTC.to_datetime(Timestamp::now()).date().checked_add(7.days())?;
    let me = rustix::process::geteuid().as_raw();
    Ok(format!(
        "version: 1
workloads:
  me: {{ process: {{ uid: {me} }} }}
credentials:
  key:
    owner: tests@example.com
    static: {{ reason: a test, expires: 2099-12-31 }}
    source: {{ file: {} }}
    inject: bearer
    only_to: [echo.test]
  unused:
    owner: others@example.com
    static: {{ reason: a test, expires: {soon} }}
    source: {{ file: {} }}
    inject: bearer
    only_to: [spare.test]
rules:
  echo:
    from: [me]
    to: https://echo.test:{port}
    allow_ips: [127.0.0.0/8]
    allow: [GET /hello, GET /hello/**]
    credential: key
  spare:
    from: [me]
    to: https://spare.test
    allow: [GET /**]
    credential: unused
",
        file.display(),
        spare.display()
    ))
}
