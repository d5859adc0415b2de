//! The command line: one file per subcommand, each with its `Args` and its `run`.

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;

use crate::config::Invalid;

/// `keygress demo`: the main job, shown.
pub mod demo;

/// `keygress serve`: the proxy.
pub mod serve;

/// `keygress doctor`: what holds on this machine.
pub mod doctor;

/// `keygress health`: whether `serve` is ready.
pub mod health;

/// `keygress run`: a proxy that lives as long as one command.
pub mod run;

/// `keygress net`: rules that bring connections to a transparent listener.
pub mod net;

/// `keygress check`: every problem of a policy.
pub mod check;

/// `keygress test`: the policy's own tests.
pub mod test;

/// `keygress fmt`: one layout for policies.
pub mod fmt;

/// `keygress diff`: who gains and who loses what.
pub mod diff;

/// `keygress explain`: what the policy says to one request.
pub mod explain;

/// `keygress schema`: the JSON Schema of a policy.
pub mod schema;

/// `keygress suspend`, `revoke` and `resume`: the kill switch.
pub mod stop;

/// `keygress leases`: what was issued.
pub mod leases;

/// `keygress baselines`: what is usual of each credential.
pub mod baselines;

/// `keygress task`: tasks at a running keygress.
pub mod task;

/// `keygress ui`: the admin page.
pub mod ui;

/// How commands speak to a running keygress.
mod control;

/// `keygress inventory`: which credentials there are, and who may spend them.
pub mod inventory;

/// `keygress report`: the same, mapped to the controls that people must answer to.
pub mod report;

/// `keygress scan`: keys that are not yet behind the proxy.
pub mod scan;

/// `keygress import`: logins that are there already, into a policy.
pub mod import;

/// `keygress inject`: a sidecar beside the containers of a manifest.
pub mod inject;

/// `keygress inject-webhook`: the same for every pod that asks for it, as the cluster creates it.
pub mod inject_webhook;

/// Tables for people, and CSV.
mod table;

/// SARIF 2.1.0.
mod sarif;

/// Problems and findings in it.
mod lints;

/// `keygress presets`: what keygress knows of vendors' APIs.
pub mod presets;

/// `keygress seal`: secrets that may stand in a policy.
pub mod seal;

/// `keygress audit`: questions to an audit file.
pub mod audit;

/// `keygress bench`: how fast it is, here.
pub mod bench;

/// The application never holds a key.
#[derive(Debug, Parser)]
#[command(name = "keygress", version, about, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Show the main job in a few seconds, without configuration and without network.
    Demo(demo::Args),
    /// Run the proxy: the sidecar of a pod, or the egress proxy of a host.
    Serve(Box<serve::Args>),
    /// Show what is enforced on this machine and what is not, and send one request through the real data path.
    Doctor(Box<doctor::Args>),
    /// Ask a `serve` on this machine whether it is ready.
    Health(health::Args),
    /// Run one command behind a proxy of its own; what was issued for it is revoked when it ends.
    Run(run::Args),
    /// Make nftables rules that bring connections to a transparent listener.
    Net(net::Args),
    /// Take logins that are there already into a policy: variables, `.env` files, and those of gh, AWS, gcloud and docker.
    Import(import::Args),
    /// Add keygress to the pods of Kubernetes manifests that ask for it: sidecar, capture, CA, placeholders.
    Inject(inject::Args),
    /// The same as an admission webhook, for pods that the cluster creates.
    InjectWebhook(inject_webhook::Args),
    /// Check a policy: every problem, each with its place and remedy.
    Check(check::Args),
    /// Run the policy's own tests.
    Test(test::Args),
    /// Lay policies out: indentation and space alone; no comment is lost.
    Fmt(fmt::Args),
    /// Say who gains and who loses what when one policy takes the place of another.
    Diff(diff::Args),
    /// Say what the policy does with one request, and why.
    Explain(explain::Args),
    /// Print the JSON Schema of a policy, or the reference of its keys.
    Schema(schema::Args),
    /// Refuse what is named until it is resumed: new requests at once, running ones within a second.
    Suspend(stop::Args),
    /// The same, and have what was issued revoked at its issuer.
    Revoke(stop::Args),
    /// Let what was suspended or revoked go on.
    Resume(stop::Resume),
    /// List what was issued and has not ended.
    Leases(leases::Args),
    /// Show what is usual of each credential, from which an alert departs; or have it forgotten.
    Baselines(baselines::Args),
    /// Open, list and close tasks at a running keygress: each has a token, a deadline, and nothing that outlives it.
    Task(task::Args),
    /// Open the admin page of a running keygress on this machine: prints a link that opens once.
    Ui(ui::Args),
    /// List every credential with its owner, its age and who may spend it; with an audit, who did; and what somebody should look at.
    Inventory(inventory::Args),
    /// Map the findings of the inventory to controls (OWASP NHI Top 10, NIST CSF 2.0, NIST AI RMF, CSA MAESTRO), with evidence.
    Report(report::Args),
    /// Find keys that are not yet behind the proxy: in files, manifests, images, and in the reports of other tools.
    Scan(scan::Args),
    /// A step of `run --confine`.
    #[command(hide = true)]
    Confined(crate::confine::Args),
    /// List the presets: vendors' APIs, with where their keys go and what is refused there.
    Presets(presets::Args),
    /// Seal a secret to the proxy's key, so that it may stand in the policy.
    Seal(seal::Args),
    /// Ask an audit file.
    Audit(audit::Args),
    /// Measure keygress on this machine, with its own client, upstream and issuer; or load-test a policy of yours.
    Bench(Box<bench::Args>),
}

/// Parses the arguments and runs the command: 0 where it did what it was asked, 1 where it failed, 2 where it was asked wrongly.
#[must_use]
pub fn run() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Where not even this can be printed the exit code says it.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    let outcome = match cli.command {
        Command::Demo(args) => demo::run(&args),
        Command::Serve(args) => serve::run(*args),
        Command::Doctor(args) => doctor::run(*args),
        Command::Health(args) => health::run(&args),
        Command::Run(args) => run::run(&args),
        Command::Net(args) => net::run(&args),
        Command::Import(args) => import::run(&args),
        Command::Inject(args) => inject::run(&args),
        Command::InjectWebhook(args) => inject_webhook::run(&args),
        Command::Check(args) => check::run(&args),
        Command::Test(args) => test::run(&args),
        Command::Fmt(args) => fmt::run(&args),
        Command::Diff(args) => diff::run(&args),
        Command::Explain(args) => explain::run(&args),
        Command::Schema(args) => schema::run(&args),
        Command::Suspend(args) => stop::suspend(&args),
        Command::Revoke(args) => stop::revoke(&args),
        Command::Resume(args) => stop::resume(&args),
        Command::Leases(args) => leases::run(&args),
        Command::Baselines(args) => baselines::run(&args),
        Command::Task(args) => task::run(&args),
        Command::Ui(args) => ui::run(&args),
        Command::Inventory(args) => inventory::run(&args),
        Command::Report(args) => report::run(&args),
        Command::Scan(args) => scan::run(&args),
        Command::Confined(args) => crate::confine::run(&args),
        Command::Presets(args) => presets::run(&args),
        Command::Seal(args) => seal::run(&args),
        Command::Audit(args) => audit::run(&args),
        Command::Bench(args) => bench::run(&args),
    };
    outcome.unwrap_or_else(|error| {
        let _ = writeln!(anstream::stderr(), "error: {error:#}");
        if error.is::<Invalid>() { ExitCode::from(2) } else { ExitCode::FAILURE }
    })
}
