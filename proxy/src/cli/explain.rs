//! `keygress explain`: what the policy says to one request, and why; and what became of one that was made.

/// A request that was made, by its id.
mod past;

/// That, for people.
mod told;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anstyle::{AnsiColor, Style};
use anyhow::anyhow;
use http::{Method, Uri};
use keygress_policy::explain::{Asked, Explanation, Hypothesis};

use super::check::{self, Format};

const ALLOW: Style = AnsiColor::Green.on_default().bold();
const DENY: Style = AnsiColor::Red.on_default().bold();
const FAINT: Style = Style::new().dimmed();

/// Arguments of `keygress explain`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The method, such as `POST`.
    #[arg(required_unless_present = "id")]
    method: Option<Method>,
    /// The address as the application would ask for it; a query is not looked at.
    #[arg(required_unless_present = "id")]
    url: Option<Uri>,
    /// The workload that calls; without it, a caller that no workload recognises.
    #[arg(long, value_name = "WORKLOAD")]
    from: Option<String>,
    /// Instead: a request that was made, by the id that its refusal or record names (`urn:keygress:request:7`, `7`), by that of a record,
    /// of a trace, or by the name that both ends of a broker have on record.
    #[arg(long, value_name = "ID", conflicts_with_all = ["method", "url", "from"], requires = "audit")]
    id: Option<past::Id>,
    /// The audit that holds it, or several files of one, oldest first.
    #[arg(long, value_name = "FILE", num_args = 1.., requires = "id")]
    audit: Vec<PathBuf>,
    /// A file or folder of the policy; may be repeated. Of a request that was made it says what would become of the like now.
    #[arg(long = "policy", required_unless_present = "id", value_name = "PATH")]
    policy: Vec<PathBuf>,
    /// For people or for machines.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Explains one decision. The exit code is 0 whether the request is allowed or denied.
///
/// # Errors
/// Where the policy or the audit cannot be used, the address cannot be asked for, `--from` names no workload, or no request has the id.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let (method, url) = match (&args.id, &args.method, &args.url) {
        (Some(id), _, _) => return made(args, id).map(|()| ExitCode::SUCCESS),
        (None, Some(method), Some(url)) => (method, url),
        (None, _, _) => anyhow::bail!("name a method and an address, or a request with `--id`"),
    };
    let (policy, _) = check::load_valid(&args.policy)?;
    let asked = Asked::parse(url, &policy).map_err(|message| anyhow!(message))?;
    let question =
        Hypothesis { from: args.from.as_deref(), scheme: asked.scheme, host: &asked.host, port: asked.port, method, path: url.path() };
    let explanation = policy.explain(&question).map_err(|message| anyhow!(message))?;
    match args.format {
        Format::Text => print(&explanation, &question)?,
        Format::Json => writeln!(anstream::stdout(), "{:#}", serde_json::to_value(&explanation)?)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Explains a request that was made.
fn made(args: &Args, id: &past::Id) -> anyhow::Result<()> {
    let mut past = past::find(&args.audit, id)?;
    if !args.policy.is_empty() {
        let (policy, _) = check::load_valid(&args.policy)?;
        past.ask(&policy);
    }
    match args.format {
        Format::Text => told::print(&past)?,
        Format::Json => writeln!(anstream::stdout(), "{:#}", serde_json::to_value(&past)?)?,
    }
    past.caveats.iter().try_for_each(|caveat| writeln!(anstream::stderr(), "note: {caveat}"))?;
    Ok(())
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
    reasons(&mut out, explanation)
}

/// A rule that would allow it, and what each rule for the host says.
fn reasons(out: &mut impl Write, explanation: &Explanation) -> std::io::Result<()> {
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
