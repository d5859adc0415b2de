//! `fuzz run TARGET SECONDS [SEED]`: seeded mutations for longer than the gate has time. `fuzz seeds TARGET FOLDER` writes what is kept as files,
//! as libFuzzer wants them; `fuzz keep TARGET FOLDER` takes the smallest of a folder back; `fuzz show TARGET FILE` says what one input does.
#![expect(clippy::print_stdout, reason = "it speaks to a terminal")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use keygress_tests::fuzz::mutate::Mutator;
use keygress_tests::fuzz::{Target, corpus, target};

/// How many inputs are kept of a target, and how long each may be: what is in the repository is read by people too.
const KEPT_MAX: usize = 120;
const KEPT_BYTES_MAX: usize = 400;

fn main() -> ExitCode {
    match run(&std::env::args().skip(1).collect::<Vec<_>>()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[String]) -> Result<()> {
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let known = |name: &str| target(name).with_context(|| format!("there is no target `{name}`"));
    match *words.as_slice() {
        ["run", name, seconds] => mutate(known(name)?, seconds.parse()?, 2),
        ["run", name, seconds, seed] => mutate(known(name)?, seconds.parse()?, seed.parse()?),
        ["seeds", name, folder] => seeds(known(name)?, Path::new(folder)),
        ["keep", name, folder] => keep(known(name)?, Path::new(folder)),
        ["show", name, file] => (known(name)?.run)(&fs::read(file)?),
        _ => bail!("usage: fuzz run TARGET SECONDS [SEED] | seeds TARGET FOLDER | keep TARGET FOLDER | show TARGET FILE"),
    }
}

fn mutate(target: &Target, seconds: u64, seed: u64) -> Result<()> {
    let (kept, mut mutator) = (corpus::kept(target.name)?, Mutator::new(seed));
    let (begun, mut count) = (Instant::now(), 0_u64);
    while begun.elapsed() < Duration::from_secs(seconds) {
        let input = mutator.next(&kept, target.words);
        (target.run)(&input).with_context(|| format!("{}: {}", target.name, corpus::line(&input)))?;
        count += 1;
    }
    println!("{}: {count} inputs, seed {seed}: nothing", target.name);
    Ok(())
}

fn seeds(target: &Target, folder: &Path) -> Result<()> {
    fs::create_dir_all(folder)?;
    for (number, input) in corpus::kept(target.name)?.iter().enumerate() {
        fs::write(folder.join(format!("kept-{number}")), input)?;
    }
    let words = target.words.iter().map(|word| {
        let escaped: String = word.bytes().map(|byte| format!("\\x{byte:02x}")).collect();
        format!("\"{escaped}\"\n")
    });
    fs::write(folder.with_extension("words"), words.collect::<String>())?;
    Ok(())
}

fn keep(target: &Target, folder: &Path) -> Result<()> {
    let mut inputs: BTreeSet<(usize, Vec<u8>)> = BTreeSet::new();
    for entry in fs::read_dir(folder)? {
        let bytes = fs::read(entry?.path())?;
        inputs.insert((bytes.len(), bytes));
    }
    let kept = corpus::kept(target.name)?;
    let fresh = inputs.into_iter().map(|(_, bytes)| bytes).filter(|bytes| bytes.len() <= KEPT_BYTES_MAX && !kept.contains(bytes));
    let fresh: Vec<Vec<u8>> = fresh.collect();
    // Spread over all lengths, not the shortest alone.
    let step = fresh.len().div_ceil(KEPT_MAX.saturating_sub(kept.len()).max(1)).max(1);
    let lines = kept.iter().chain(fresh.iter().step_by(step)).take(KEPT_MAX.max(kept.len()));
    let text: String = lines.map(|input| corpus::line(input) + "\n").collect();
    fs::write(corpus::file(target.name), text)?;
    println!("{}: {} of {} are kept", target.name, KEPT_MAX.min(kept.len() + fresh.len()), kept.len() + fresh.len());
    Ok(())
}
