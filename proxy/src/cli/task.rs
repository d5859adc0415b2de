//! `keygress task`: tasks at a running keygress, each with a token of its own and an end.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail};
use http::Method;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::check::{Format, counted};
use super::control::Socket;
use super::leases::aligned;
use super::run::label;
use crate::runtimes::PROXY;

/// Arguments of `keygress task`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Open a task and print the environment of its application: the proxy with the task's token, and placeholders. It is shown once.
    Open(Open),
    /// List the tasks that are open.
    List(List),
    /// End a task: its token is refused at once, what runs for it ends, and what was issued for it is revoked.
    Close(Close),
}

#[derive(Debug, clap::Args)]
struct Open {
    /// A label of the task, by which a workload of the policy may know it; may be repeated.
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = label)]
    labels: Vec<(String, String)>,
    /// When the task ends by itself: after `30m`, `8h`; at most seven days.
    #[arg(long, value_name = "DURATION")]
    deadline: String,
    /// Append the environment to this file, in place of standard output; a new one is its owner's alone to read.
    #[arg(long, value_name = "FILE")]
    env_file: Option<PathBuf>,
    /// For people (lines of `NAME=value`) or for machines.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    #[command(flatten)]
    socket: Socket,
}

#[derive(Debug, clap::Args)]
struct List {
    /// For people or for machines.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    #[command(flatten)]
    socket: Socket,
}

#[derive(Debug, clap::Args)]
struct Close {
    /// The id: `KEYGRESS_TASK` of its environment.
    id: String,
    /// For people or for machines.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    #[command(flatten)]
    socket: Socket,
}

/// Opens, lists or closes.
///
/// # Errors
/// Where no keygress answers, or it cannot do so.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    match &args.what {
        What::Open(args) => open(args)?,
        What::List(args) => {
            let answer = args.socket.tell(Method::GET, "/tasks", None)?;
            match args.format {
                Format::Json => writeln!(anstream::stdout(), "{answer:#}")?,
                Format::Text => write!(anstream::stdout(), "{}", table(&answer))?,
            }
        }
        What::Close(args) => {
            let answer = args.socket.tell(Method::POST, "/tasks/close", Some(&json!({ "id": args.id })))?;
            match args.format {
                Format::Json => writeln!(anstream::stdout(), "{answer:#}")?,
                Format::Text => writeln!(anstream::stdout(), "{}", closed(&answer))?,
            }
            let failed = answer.pointer("/leases/failed").and_then(Value::as_u64).unwrap_or_default();
            return Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn open(args: &Open) -> anyhow::Result<()> {
    // Before there is a task that nobody would hear of.
    let file = args.env_file.as_ref().map(|path| {
        let file = OpenOptions::new().append(true).create(true).mode(0o600).open(path);
        file.with_context(|| format!("cannot write `{}`", path.display()))
    });
    let file = file.transpose()?;
    let labels: BTreeMap<_, _> = args.labels.iter().cloned().collect();
    let answer = args.socket.tell(Method::POST, "/tasks", Some(&json!({ "labels": labels, "deadline": args.deadline })))?;
    let told = match args.format {
        Format::Json => Zeroizing::new(format!("{answer:#}\n")),
        Format::Text => environment(&answer)?,
    };
    match file {
        Some(mut file) => file.write_all(told.as_bytes())?,
        None => write!(anstream::stdout(), "{}", *told)?,
    }
    Ok(())
}

/// Lines of `NAME=value` that a shell, an env file and a CI runner read alike.
fn environment(answer: &Value) -> anyhow::Result<Zeroizing<String>> {
    let text = |key: &str| answer.get(key).and_then(Value::as_str);
    let id = text("id").context("the answer names no task")?;
    let Some(proxy) = text("proxy") else { bail!("task {id} is open, but this keygress has no TCP listener: use `--format json`") };
    let placeholders = answer.get("placeholders").and_then(Value::as_object).into_iter().flatten();
    let placeholders = placeholders.filter_map(|(name, value)| Some((name.as_str(), value.as_str()?)));
    let lines = [("KEYGRESS_TASK", id)].into_iter().chain(PROXY.iter().map(|name| (*name, proxy))).chain(placeholders);
    Ok(Zeroizing::new(lines.map(|(name, value)| format!("{name}={value}\n")).collect()))
}

fn closed(answer: &Value) -> String {
    let id = answer.get("id").and_then(Value::as_str).unwrap_or_default();
    let [revoked, dropped, failed] =
        ["revoked", "dropped", "failed"].map(|key| answer.pointer(&format!("/leases/{key}")).and_then(Value::as_u64).unwrap_or_default());
    format!("closed: task {id}, {} revoked, {dropped} dropped, {failed} failed to revoke", counted(revoked, "lease"))
}

fn table(answer: &Value) -> String {
    let tasks = answer.get("tasks").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    if tasks.is_empty() {
        return "no task is open\n".to_owned();
    }
    let head = ["TASK", "LABELS", "OPENED", "DEADLINE", "BY"].map(str::to_owned);
    let row = |task: &Value| {
        let text = |key: &str| task.get(key).and_then(Value::as_str).unwrap_or("-").to_owned();
        let labels = task.get("labels").and_then(Value::as_object).into_iter().flatten();
        let labels: Vec<_> = labels.map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default())).collect();
        let labels = if labels.is_empty() { "-".to_owned() } else { labels.join(",") };
        [text("id"), labels, text("opened"), text("deadline"), text("by")]
    };
    aligned(std::iter::once(head).chain(tasks.iter().map(row)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_of_a_task_is_lines_of_names_and_values() {
        let answer = json!({
            "id": "0f", "token": "t", "proxy": "http://task:t@127.0.0.1:8787", "placeholders": { "API_KEY": "sk_1" }, "labels": {},
        });
        insta::assert_snapshot!(environment(&answer).unwrap().as_str(), @r"
        KEYGRESS_TASK=0f
        HTTP_PROXY=http://task:t@127.0.0.1:8787
        HTTPS_PROXY=http://task:t@127.0.0.1:8787
        http_proxy=http://task:t@127.0.0.1:8787
        https_proxy=http://task:t@127.0.0.1:8787
        KEYGRESS_PROXY=http://task:t@127.0.0.1:8787
        API_KEY=sk_1
        ");
        assert!(environment(&json!({ "id": "0f", "proxy": null })).unwrap_err().to_string().contains("no TCP listener"));
    }

    #[test]
    fn a_task_is_a_row() {
        let task = json!({
            "id": "0f", "labels": { "kind": "ci", "run": "7" }, "opened": "2026-01-01T00:00:00Z", "deadline": "2026-01-01T00:30:00Z", "by": "uid 7",
        });
        insta::assert_snapshot!(table(&json!({ "tasks": [task] })), @r"
        TASK  LABELS         OPENED                DEADLINE              BY
        0f    kind=ci,run=7  2026-01-01T00:00:00Z  2026-01-01T00:30:00Z  uid 7
        ");
        assert_eq!(table(&json!({ "tasks": [] })), "no task is open\n");
        let answer = json!({ "id": "0f", "leases": { "revoked": 2, "dropped": 0, "failed": 1 } });
        assert_eq!(closed(&answer), "closed: task 0f, 2 leases revoked, 0 dropped, 1 failed to revoke");
    }
}
