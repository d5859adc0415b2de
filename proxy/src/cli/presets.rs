//! `keygress presets`: what keygress knows of vendors' APIs.

use std::io::Write;
use std::process::ExitCode;

use anyhow::bail;
use keygress_policy::preset::{self, Preset};

/// Arguments of `keygress presets`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Everything that is known of this one.
    name: Option<String>,
    /// Text, or JSON for machines.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// How the list is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// For people.
    Text,
    /// For machines.
    Json,
}

/// Prints the table, or one preset.
///
/// # Errors
/// Where there is no preset of that name, or the output cannot be written.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let presets = match &args.name {
        None => preset::all(),
        Some(name) => match preset::find(name) {
            Some(preset) => vec![preset],
            None => bail!("there is no preset `{name}`: `keygress presets` lists them"),
        },
    };
    let text = match (args.format, presets.as_slice()) {
        (Format::Json, _) => format!("{:#}", serde_json::to_value(&presets)?),
        (Format::Text, [one]) if args.name.is_some() => described(one),
        (Format::Text, all) => table(all),
    };
    writeln!(anstream::stdout(), "{}", text.trim_end())?;
    Ok(ExitCode::SUCCESS)
}

/// One line each: its word, how its key goes on the wire, where it is.
fn table(presets: &[&Preset]) -> String {
    let name = presets.iter().map(|preset| preset.name.len()).max().unwrap_or_default();
    let inject = presets.iter().map(|preset| slot(preset).len()).max().unwrap_or_default();
    let line = |preset: &&Preset| format!("{:name$}  {:inject$}  {}\n", preset.name, slot(preset), preset.hosts.join(", "));
    presets.iter().map(line).collect()
}

/// The injection, without the braces of its map.
fn slot(preset: &Preset) -> &'static str {
    preset.inject.strip_prefix("{ ").and_then(|inner| inner.strip_suffix(" }")).unwrap_or(preset.inject)
}

fn described(preset: &Preset) -> String {
    let mut text = format!("{}: {}\n{}\n\n", preset.name, preset.vendor, preset.page);
    let mut line = |key: &str, value: &str| text.push_str(&format!("{key:12} {value}\n"));
    line("inject", preset.inject);
    line("only_to", &preset.hosts.join(", "));
    line("placeholder", &format!("{}={}… and {} letters and digits", preset.env, preset.like, preset.length));
    let shapes: Vec<&str> = preset.shapes().map(|shape| shape.id).collect();
    line("scan finds", &shapes.join(", "));
    for request in preset.mints {
        line("mints", request);
    }
    text
}
