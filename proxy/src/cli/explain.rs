//! `keygress explain`: what the policy says to one request, and why.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anstyle::{AnsiColor, Style};
use anyhow::{Context, anyhow};
use http::{Method, Uri};
use keygress_policy::destination::{self, Host, Scheme};
use keygress_policy::explain::{Explanation, Hypothesis};

use super::check::{self, Format};
use crate::Policy;

const ALLOW: Style = AnsiColor::Green.on_default().bold();
const DENY: Style = AnsiColor::Red.on_default().bold();
const FAINT: Style = Style::new().dimmed();

/// Arguments of `keygress explain`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The method, such as `POST`.
    method: Method,
    /// The address as the application would ask for it; a query is not looked at.
    url: Uri,
    /// The workload that calls; without it, a caller that no workload recognises.
    #[arg(long, value_name = "WORKLOAD")]
    from: Option<String>,
    /// A file or folder of the policy; may be repeated.
    #[arg(long = "policy", required = true, value_name = "PATH")]
    policy: Vec<PathBuf>,
    /// For people or for machines.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Explains one decision. The exit code is 0 whether the request is allowed or denied.
///
/// # Errors
/// Where the policy cannot be used, the address cannot be asked for, or `--from` names no workload.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let (policy, _) = check::load_valid(&args.policy)?;
    let asked = Asked::new(&args.url, &policy)?;
    let question = Hypothesis {
        from: args.from.as_deref(),
        scheme: asked.scheme,
        host: &asked.host,
        port: asked.port,
        method: &args.method,
        path: args.url.path(),
    };
    let explanation = policy.explain(&question).map_err(|message| anyhow!(message))?;
    match args.format {
        Format::Text => print(&explanation, &question)?,
        Format::Json => writeln!(anstream::stdout(), "{:#}", serde_json::to_value(&explanation)?)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// The destination as it would be sent: `http` is raised where the policy raises it.
struct Asked {
    scheme: Scheme,
    host: Host,
    port: u16,
}

impl Asked {
    fn new(url: &Uri, policy: &Policy) -> anyhow::Result<Self> {
        let scheme = match url.scheme_str() {
            Some("https") => Scheme::Https,
            Some("http") => Scheme::Http,
            _ => anyhow::bail!("`{url}` is not an address that begins with https:// or http://"),
        };
        let authority = url.authority().map(http::uri::Authority::as_str).unwrap_or_default();
        let (host, port) = destination::parse_authority(authority).map_err(|reason| anyhow!(reason)).context(format!("`{authority}`"))?;
        let port = port.unwrap_or(scheme.default_port());
        if scheme == Scheme::Http && port == scheme.default_port() && policy.raises(&host) {
            return Ok(Self { scheme: Scheme::Https, host, port: Scheme::Https.default_port() });
        }
        Ok(Self { scheme, host, port })
    }
}

fn print(explanation: &Explanation, question: &Hypothesis<'_>) -> std::io::Result<()> {
    let mut out = anstream::stdout().lock();
    let style = if explanation.decision == "allow" { ALLOW } else { DENY };
    let (scheme, host, port) = (question.scheme, question.host, question.port);
    let port = if port == scheme.default_port() { String::new() } else { format!(":{port}") };
    let request = format!("{} {}://{host}{port}{}", question.method, scheme.as_str(), question.path);
    let from = question.from.unwrap_or("a caller that no workload recognises");
    writeln!(out, "{style}{}{style:#}  {request} from {from}", explanation.decision)?;
    writeln!(out, "\n  why         {}", explanation.reason)?;
    if let Some(rule) = &explanation.rule {
        writeln!(out, "  rule        {rule}")?;
    }
    if let Some(credential) = &explanation.credential {
        writeln!(out, "  credential  {credential}")?;
    }
    if let Some(suggestion) = &explanation.suggestion {
        writeln!(out, "\n  a rule that would allow it:\n")?;
        for line in suggestion.lines() {
            writeln!(out, "    {line}")?;
        }
    }
    if explanation.rules.is_empty() {
        return Ok(());
    }
    writeln!(out, "\n  rules for this host:")?;
    let width = explanation.rules.iter().map(|rule| rule.rule.len()).max().unwrap_or(0);
    for rule in &explanation.rules {
        let mark = if rule.matches { format!("{ALLOW}✔{ALLOW:#}") } else { format!("{DENY}✘{DENY:#}") };
        writeln!(out, "    {mark} {:width$}  {FAINT}{}{FAINT:#}", rule.rule, rule.reason)?;
    }
    Ok(())
}
