//! `keygress net`: nftables rules that bring connections to a transparent listener, whatever the application knows of proxies.

/// The rules, as nftables lists them.
mod rules;

/// The program `nft`.
mod nft;

use std::io::Write;
use std::net::IpAddr;
use std::process::ExitCode;

use anyhow::Context;

use rules::{Rest, Rules};

/// Arguments of `keygress net`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Print the rules, for `nft -f` or for review; needs no privilege.
    Print(Wanted),
    /// Put the rules in force, in place of those of an earlier `up`, in one step.
    Up {
        #[command(flatten)]
        wanted: Wanted,
        /// Only show what would change.
        #[arg(long)]
        dry_run: bool,
    },
    /// Take the rules away.
    Down,
    /// Show the rules that are in force; the exit code is 1 where there are none.
    Status,
}

/// What the rules are to do.
#[derive(Debug, clap::Args)]
#[command(group(clap::ArgGroup::new("own").args(["user", "mark"]).multiple(true).required(true)))]
struct Wanted {
    /// The user that keygress runs as, by name or number: what it sends itself is not captured.
    #[arg(long, value_name = "USER", value_parser = user)]
    user: Option<u32>,
    /// The mark that keygress puts on what it dials (`serve --mark`): what bears it is not captured.
    #[arg(long, value_name = "NUMBER")]
    mark: Option<u32>,
    /// The port of the transparent listener (`serve --transparent 127.0.0.1:PORT,[::1]:PORT`).
    #[arg(long, value_name = "PORT", default_value_t = 8788, value_parser = clap::value_parser!(u16).range(1..))]
    to: u16,
    /// TCP ports that are captured.
    #[arg(long, value_name = "PORT", value_delimiter = ',', default_values_t = [80, 443], value_parser = clap::value_parser!(u16).range(1..))]
    ports: Vec<u16>,
    /// Capture every TCP port.
    #[arg(long, conflicts_with = "ports")]
    all_ports: bool,
    /// Only capture, and only hold, what this user sends, by name or number; may be repeated. Default: everyone but keygress.
    #[arg(long = "from", value_name = "USER", value_parser = user)]
    from: Vec<u32>,
    /// Refuse whatever else would leave this host or pod, but for answers to connections from outside.
    #[arg(long)]
    deny_rest: bool,
    /// With `--deny-rest`: a resolver that may still be asked, on port 53; may be repeated.
    #[arg(long, value_name = "ADDRESS", requires = "deny_rest")]
    dns: Vec<IpAddr>,
}

impl Wanted {
    fn rules(&self) -> Rules {
        Rules {
            user: self.user,
            mark: self.mark,
            to: self.to,
            ports: if self.all_ports { Vec::new() } else { self.ports.clone() },
            from: self.from.clone(),
            rest: if self.deny_rest { Rest::Refused { resolvers: self.dns.clone() } } else { Rest::Passes },
        }
    }
}

/// A user's number, given as such or as a name in `/etc/passwd`.
fn user(text: &str) -> Result<u32, String> {
    if let Ok(number) = text.parse() {
        return Ok(number);
    }
    let users = std::fs::read_to_string("/etc/passwd").map_err(|error| format!("cannot read `/etc/passwd`: {error}"))?;
    let mut entries = users.lines().map(|line| line.split(':'));
    let found = entries.find_map(|mut fields| (fields.next() == Some(text)).then(|| fields.nth(1)?.parse().ok()).flatten());
    found.ok_or_else(|| format!("no user `{text}` in /etc/passwd: give the number"))
}

/// Prints, changes or shows the rules.
///
/// # Errors
/// Where `nft` is missing or refuses, or the process may not change rules; each with the remedy.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let mut out = anstream::stdout();
    match &args.action {
        Action::Print(wanted) => write!(out, "{}", wanted.rules().script())?,
        Action::Up { wanted, dry_run } => {
            let wanted = wanted.rules();
            let change = rules::difference(&nft::table(rules::TABLE)?.unwrap_or_default(), &wanted.table());
            if !dry_run {
                nft::load(&wanted.script()).context("the rules are as they were")?;
            }
            match (change.is_empty(), dry_run) {
                (true, _) => writeln!(out, "the rules are in force already")?,
                (false, true) => write!(out, "{change}")?,
                (false, false) => writeln!(out, "{change}the rules are in force")?,
            }
        }
        Action::Down => {
            let was = nft::table(rules::TABLE)?;
            nft::load(&rules::removal()).context("the rules are as they were")?;
            writeln!(out, "{}", if was.is_some() { "the rules are taken away" } else { "there were no rules" })?;
        }
        Action::Status => match nft::table(rules::TABLE)? {
            Some(table) => write!(out, "{table}")?,
            None => {
                writeln!(out, "no rules of keygress are in force")?;
                return Ok(ExitCode::FAILURE);
            }
        },
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_has_a_number() {
        assert_eq!(user("65534"), Ok(65534));
        assert_eq!(user("root"), Ok(0));
        assert!(user("nobody-of-that-name").unwrap_err().contains("give the number"));
    }
}
