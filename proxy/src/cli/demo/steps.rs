//! The steps of the demonstration. Each does the thing, checks what came of it, and only then prints it.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use http::{Method, StatusCode};

use super::application::{Answer, Connection};
use super::issuer;
use super::journal::{PATIENCE, Record};
use super::screen::{BAD, FACT_COLUMNS, FAINT, GOOD, STAND_IN, TOKEN, bearer, fact, heading, line, prose, short, wrapped};
use super::world::{TASK, World};
use crate::audit;
use crate::cli::audit::verdict;

const READ: &str = "/v1/invoices/42";
const SEND: &str = "/v1/invoices/42/send";
const ALLOWED: &str = "      - GET /v1/invoices/{id}\n";
const ADDED: &str = "      - POST /v1/invoices/{id}/send\n";

/// The demonstration: its world, and the one connection that the application keeps open to the API.
pub(super) struct Show {
    world: World,
    connection: Connection,
    first_token: String,
}

impl Show {
    /// Introduces the parts and the policy, and connects the application to the API.
    pub(super) async fn open(world: World) -> anyhow::Result<Self> {
        line(&format!(" {GOOD}keygress demo{GOOD:#}\n"))?;
        line(" An API, a token issuer, the proxy and an application, all in this process and")?;
        line(" on loopback. The application holds a placeholder and no key. Its policy:\n")?;
        let rules = world.policy.text.split_once("rules:").map_or("", |(_, rules)| rules);
        for rule in rules.lines().filter(|line| !line.is_empty() && !line.contains("allow_ips")) {
            line(&format!("  {rule}"))?;
        }
        let connection = world.application.connect(&world.api.upstream).await?;
        let connection = connection.map_err(|refusal| anyhow::anyhow!("the proxy refused the API: {}", refusal.body))?;
        Ok(Self { world, connection, first_token: String::new() })
    }

    /// Allow: the request before and after.
    pub(super) async fn allow(&mut self) -> anyhow::Result<()> {
        let answer = self.connection.send(Method::GET, READ).await?;
        let token = self.token_received()?;
        ensure!(answer.status == StatusCode::OK, "an allowed request got {}: {}", answer.status, answer.body);
        heading(1, "Allow: the key goes on at the last moment")?;
        fact("app sent", &format!("GET {READ}"))?;
        let placeholder: String = self.world.application.placeholder.chars().take(15).collect();
        fact("", &format!("authorization: Bearer {STAND_IN}{placeholder}…{STAND_IN:#}  {FAINT}a placeholder{FAINT:#}"))?;
        fact("API received", &format!("GET {READ}"))?;
        fact("", &format!("{}  {FAINT}lives 2 s{FAINT:#}", bearer(&token)))?;
        got(&answer)?;
        self.first_token = token;
        Ok(())
    }

    /// Deny: what no rule allows is not sent.
    pub(super) async fn deny(&mut self) -> anyhow::Result<()> {
        let before = self.world.api.inbox.len();
        let answer = self.connection.send(Method::POST, SEND).await?;
        ensure!(answer.status == StatusCode::FORBIDDEN, "a denied request got {}: {}", answer.status, answer.body);
        ensure!(self.world.api.inbox.len() == before, "a denied request reached the API");
        heading(2, "Deny: what no rule allows is not sent")?;
        fact("app sent", &format!("POST {SEND}"))?;
        refused(&answer)?;
        prose("", &answer.field("remedy").unwrap_or_default(), FAINT)?;
        fact("API received", "nothing")
    }

    /// A wrong destination: neither the credential nor the placeholder goes there.
    pub(super) async fn wrong_destination(&mut self) -> anyhow::Result<()> {
        let World { application, api, collector, .. } = &self.world;
        let Err(unknown) = application.connect(&collector.upstream).await? else {
            anyhow::bail!("a destination that no rule names was connected");
        };
        let before = api.inbox.len();
        let mut connection = application.connect(&api.upstream).await?.map_err(|refusal| anyhow::anyhow!(refusal.body))?;
        connection.pretend(&collector.upstream);
        let disguised = connection.send(Method::GET, READ).await?;
        ensure!(disguised.status == StatusCode::MISDIRECTED_REQUEST, "a disguised request got {}: {}", disguised.status, disguised.body);
        ensure!(api.inbox.len() == before, "a disguised request reached the API");
        ensure!(collector.upstream.connections() == 0, "a destination that no rule names was dialled");
        heading(3, "A wrong destination: neither key nor placeholder goes there")?;
        fact("app sent", &format!("CONNECT {}", collector.upstream.host))?;
        refused(&unknown)?;
        fact("app sent", &format!("GET {READ}  {FAINT}to the API, but in its Host header:{FAINT:#}"))?;
        fact("", collector.upstream.host)?;
        refused(&disguised)?;
        fact("both received", "nothing")
    }

    /// Hot reload: the denied request passes, on the same connection.
    pub(super) async fn hot_reload(&mut self) -> anyhow::Result<()> {
        let text = self.world.policy.text.replace(ALLOWED, &format!("{ALLOWED}{ADDED}"));
        let written = Instant::now();
        fs::write(&self.world.policy.path, text)?;
        self.world.journal.wait_for(2, |record| record.activity() == "policy_loaded").await?;
        let took = written.elapsed();
        let answer = self.connection.send(Method::POST, SEND).await?;
        let token = self.token_received()?;
        ensure!(answer.status == StatusCode::ACCEPTED, "a newly allowed request got {}: {}", answer.status, answer.body);
        heading(4, "Hot reload: one line more, and no connection is closed")?;
        fact("policy", &format!("{GOOD}+ {}{GOOD:#}", ADDED.trim()))?;
        fact("in force", &format!("{} ms after the file was written", took.as_millis()))?;
        fact("app sent", &format!("POST {SEND}  {FAINT}on the same connection{FAINT:#}"))?;
        fact("API received", &bearer(&token))?;
        got(&answer)
    }

    /// Renewal: a second token, before the first one expires.
    pub(super) async fn renewal(&mut self) -> anyhow::Result<()> {
        self.world.journal.wait_for(2, |record| record.activity() == "issued").await?;
        let (answer, token) = self.read_with_new_token().await?;
        let state = &self.world.issuer.state;
        let (first, second) = (state.token(&self.first_token).context("no first token")?, state.token(&token).context("no second token")?);
        let ahead = first.expires().saturating_duration_since(second.issued);
        let when = match ahead.as_millis() {
            0 => "late, for this machine is busy".to_owned(),
            ahead => format!("{ahead} ms before the first one expired"),
        };
        heading(5, "Renewal: ahead of expiry, nobody waits")?;
        let was = short(&self.first_token);
        fact("issuer", &format!("a new token, {when}"))?;
        fact("app sent", &format!("GET {READ}  {FAINT}on the same connection{FAINT:#}"))?;
        fact("API received", &format!("{}  {FAINT}was {was}{FAINT:#}", bearer(&token)))?;
        got(&answer)
    }

    /// A token is on record before it is used: a request or two may still go out with the old one.
    async fn read_with_new_token(&mut self) -> anyhow::Result<(Answer, String)> {
        let begun = Instant::now();
        loop {
            let answer = self.connection.send(Method::GET, READ).await?;
            let token = self.token_received()?;
            ensure!(answer.status == StatusCode::OK, "a request after renewal got {}: {}", answer.status, answer.body);
            if token != self.first_token {
                return Ok((answer, token));
            }
            ensure!(begun.elapsed() < PATIENCE, "the token was not renewed");
        }
    }

    /// Revocation: the task ends, and with it what was issued for it.
    pub(super) async fn revocation(&mut self) -> anyhow::Result<()> {
        let token = self.token_received()?;
        let shared = &self.world.running.shared;
        shared.callers.end(TASK);
        let ended = shared.credentials.end_task(TASK).await;
        ensure!(ended.revoked > 0 && ended.failed == 0, "the task's lease was not revoked: {ended:?}");
        let says = issuer::introspect(&self.world.issuer, &token).await?;
        ensure!(says.contains("false"), "the issuer still takes the token: {says}");
        let before = self.world.api.inbox.len();
        let answer = self.connection.send(Method::GET, READ).await?;
        ensure!(answer.status.is_client_error() || answer.status.is_server_error(), "an ended task got {}", answer.status);
        ensure!(self.world.api.inbox.len() == before, "a request of an ended task reached the API");
        heading(6, "Revocation: the task ends, and its key with it")?;
        fact("proxy", &format!("the task ended: {} revoked at the issuer", super::super::check::counted(ended.revoked, "lease")))?;
        fact("issuer says", &format!("{says} for {TOKEN}‹token {}›{TOKEN:#}", short(&token)))?;
        fact("app sent", &format!("GET {READ}  {FAINT}on the same connection{FAINT:#}"))?;
        refused(&answer)?;
        fact("API received", "nothing")
    }

    /// The audit: what happened, and the proof that nobody changed it.
    pub(super) async fn record(self, keep: Option<&Path>) -> anyhow::Result<()> {
        let World { running, journal, folder, .. } = self.world;
        running.stop().await;
        let records = journal.finish().await?;
        let file = keep.map_or_else(|| folder.path().join("audit.jsonl"), Path::to_owned);
        let lines: String = records.iter().map(|record| format!("{}\n", record.line)).collect();
        fs::write(&file, &lines)?;
        let intact = audit::verify(&file)?;
        ensure!(intact.first_bad.is_none(), "the audit is broken: {intact:?}");
        let changed = folder.path().join("changed.jsonl");
        fs::write(&changed, lines.replacen("\"denied\"", "\"used\"", 1))?;
        let broken = audit::verify(&changed)?;
        ensure!(broken.first_bad.is_some(), "a changed record was not noticed");
        heading(7, "On record: every decision, chained by hash")?;
        for record in &records {
            line(&format!("    {}", summary(record)))?;
        }
        line("")?;
        fact("audit verify", &format!("{GOOD}✔{GOOD:#} {}", verdict(&intact)))?;
        fact("", &format!("{FAINT}with one record changed:{FAINT:#}"))?;
        fact("", &format!("{BAD}✘{BAD:#} {}", verdict(&broken)))
    }

    /// The token of the newest request to the API.
    fn token_received(&self) -> anyhow::Result<String> {
        let received = self.world.api.inbox.last().context("the API received nothing")?;
        let token = received.token().context("the API received no token")?;
        ensure!(self.world.issuer.state.token(token).is_some(), "the API received a token that was never issued");
        Ok(token.to_owned())
    }
}

/// The last lines.
pub(super) fn farewell(duration: Duration) -> anyhow::Result<()> {
    line(&format!("\n {GOOD}Done{GOOD:#} in {:.1} s. Your own command, with your own policy:\n", duration.as_secs_f64()))?;
    line("    keygress run --policy keygress.yaml -- COMMAND\n")
}

/// Prints an answer that came from the API.
fn got(answer: &Answer) -> anyhow::Result<()> {
    fact("app got", &format!("{GOOD}{}{GOOD:#} {}", answer.status.as_u16(), answer.body))
}

/// Prints a problem document of the proxy.
fn refused(answer: &Answer) -> anyhow::Result<()> {
    let field = |name| answer.field(name).unwrap_or_default();
    let code = format!("{} {}", answer.status.as_u16(), field("code"));
    let text = format!("{code}: {}", field("title"));
    let mut label = "app got";
    for piece in wrapped(&text, FACT_COLUMNS) {
        fact(label, &piece.replacen(&code, &format!("{BAD}{code}{BAD:#}"), 1))?;
        label = "";
    }
    Ok(())
}

/// One record in one line.
fn summary(record: &Record) -> String {
    let time = record.text("/timestamp").get(11..23).unwrap_or_default();
    let activity = record.activity();
    let style = match activity {
        "used" | "issued" | "policy_loaded" => GOOD,
        _ => BAD,
    };
    let request = match record.text("/http_request/http_method") {
        "CONNECT" => format!("CONNECT {}", record.text("/http_request/url/hostname")),
        method => format!("{method} {}", record.text("/http_request/url/path")),
    };
    let facts = match activity {
        "policy_loaded" => format!("generation {}", record.number("/keygress/generation").unwrap_or_default()),
        "denied" => format!("{request:27} {}", record.text("/keygress/code")),
        _ => {
            let fingerprint: String = record.text("/keygress/fingerprint").chars().take(8).collect();
            format!("{request:27} {} {FAINT}#{fingerprint}{FAINT:#}", record.text("/keygress/credential"))
        }
    };
    format!("{FAINT}{time}{FAINT:#}  {style}{activity:13}{style:#} {facts}")
}
