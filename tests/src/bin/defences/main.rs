//! `defences`: takes away one defence after the other, in a copy of the tree, and expects that the suite sees it. A test that passes
//! although its defence is gone shows nothing: then this fails. Names of defences as arguments: those alone.
#![expect(clippy::print_stdout, reason = "it speaks to a terminal")]

/// A copy of the tree, in which one piece at a time is another.
mod tree;

use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Result, ensure};
use keygress_tests::attack::defences::{REMOVALS, Removal};
use tree::{Ended, Tree};

fn main() -> ExitCode {
    let names: Vec<String> = std::env::args().skip(1).collect();
    if let Some(unknown) = names.iter().find(|name| !REMOVALS.iter().any(|removal| removal.name == **name)) {
        let known: Vec<&str> = REMOVALS.iter().map(|removal| removal.name).collect();
        println!("error: there is no defence `{unknown}`\nhelp: name some of {}", known.join(", "));
        return ExitCode::from(2);
    }
    let wanted: Vec<&Removal> =
        REMOVALS.iter().filter(|removal| names.is_empty() || names.iter().any(|name| name == removal.name)).collect();
    match run(&wanted) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            println!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Takes each away; how many nobody missed.
fn run(removals: &[&Removal]) -> Result<usize> {
    let tree = Tree::copied()?;
    let mut tests: Vec<&str> = removals.iter().map(|removal| removal.test).collect();
    tests.sort_unstable();
    tests.dedup();
    tree.build()?;
    // What fails with all of them there proves nothing.
    for test in tests {
        ensure!(tree.run(test)? == Ended::Passed, "`{test}` does not pass while every defence is there");
    }
    println!("{:<24} {:>8}  {:<12} test", "without", "seconds", "it");
    let mut unseen = 0;
    for removal in removals {
        let begun = Instant::now();
        let ended = tree.without(removal, |tree| {
            tree.build()?;
            tree.run(removal.test)
        })?;
        unseen += usize::from(ended == Ended::Passed);
        println!("{:<24} {:>8.1}  {:<12} {}", removal.name, begun.elapsed().as_secs_f64(), ended.word(), removal.test);
    }
    println!("{} defences taken away, {unseen} of them unseen", removals.len());
    Ok(unseen)
}
