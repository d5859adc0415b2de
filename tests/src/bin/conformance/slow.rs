use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use keygress_tests::attack::ground::Ground;
use keygress_tests::servers::scripted::Scripted;
use keygress_tests::tools;

use super::{command, relay};

/// One way of being slow.
struct Slow {
    name: &'static str,
    /// What is asked of slowhttptest.
    arguments: &'static str,
    /// What must become of the connections.
    expect: Expect,
}

/// What is answered is answered within this many seconds, on a busy machine too.
const ANSWERED_WITHIN: u64 = 30;

/// The size of the answer that is read slowly.
const LARGE_BYTES: usize = 8 << 20;

/// What must become of slow connections. That others are served all the while is asked of all.
#[derive(Clone, Copy)]
enum Expect {
    /// The last is cut within this many seconds.
    CutWithin(u64),
    /// They are answered, as they ask for nothing that is slow here.
    Answered,
    /// They go on, as long as they do something: they hold their places, of which one caller has a bounded number. Who reads slowly sees
    /// what the kernel holds go on coming after keygress has let go of it, so here it cannot be seen when that was: `pace` has its test.
    Held,
}

impl Slow {
    /// Whether it is the answer that is slow.
    fn is_read(&self) -> bool {
        self.arguments.starts_with("-X")
    }
}

const CASES: &[Slow] = &[
    Slow { name: "heads that trickle", arguments: "-H -c 300 -r 150 -i 3 -x 12 -l 60", expect: Expect::CutWithin(20) },
    Slow { name: "bodies that rest", arguments: "-B -c 300 -r 150 -i 45 -x 12 -s 8192 -l 90", expect: Expect::CutWithin(45) },
    Slow { name: "bodies that trickle", arguments: "-B -c 300 -r 150 -i 5 -x 12 -s 8192 -l 40", expect: Expect::Held },
    Slow { name: "many ranges", arguments: "-R -c 300 -r 150 -a 5 -b 3000 -t HEAD -l 40", expect: Expect::Answered },
    Slow { name: "answers that are read slowly", arguments: "-X -c 10 -r 10 -w 1 -y 2 -n 5 -z 32 -k 1 -l 40", expect: Expect::Held },
];

/// What slowhttptest saw in one second.
struct Row {
    second: u64,
    connected: u64,
    is_served: bool,
}

/// Every case, at the intercepting listener and at a route.
pub(super) fn run() -> Result<String> {
    tools::program("slowhttptest")?;
    // An answer that no buffer on the way holds as a whole.
    let large = format!("HTTP/1.1 200 OK\r\nContent-Length: {LARGE_BYTES}\r\n\r\n{}", "a".repeat(LARGE_BYTES));
    let ground = Ground::answering(move |request| {
        let small = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello\n";
        if request.starts_with("GET /large ") { large.clone() } else { small.to_owned() }.into_bytes()
    })?;
    relay::start(&ground.target)?;
    let routed = format!("http://{}/{}", ground.target.listener, ground.target.route);
    let secured = format!("https://{}", ground.target.authority());
    let mut said = Vec::new();
    let mut wrong = Vec::new();
    for base in [&secured, &routed] {
        // The relay before the other listener would read what the client does not.
        for case in CASES.iter().filter(|case| *base == routed || !case.is_read()) {
            let rows = tried(&ground, case, base)?;
            // It ends when none is open any more, or its time is over.
            let (end, most) = (rows.last().map_or(0, |row| row.second), rows.iter().map(|row| row.connected).max().unwrap_or_default());
            said.push(format!("{} at {base}: at most {most} open, until second {end}", case.name));
            let unserved = rows.iter().filter(|row| !row.is_served).count();
            let as_expected = match case.expect {
                Expect::CutWithin(seconds) => end <= seconds,
                Expect::Answered => end <= ANSWERED_WITHIN,
                Expect::Held => true,
            };
            if unserved > 0 || !as_expected {
                wrong.push(format!("{} at {base}: until second {end}, {unserved} seconds in which others were not served", case.name));
            }
        }
    }
    ensure!(wrong.is_empty(), "{}\n{}", wrong.join("\n"), said.join("\n"));
    ground.left()?;
    Ok(format!("others were served all the while\n  {}", said.join("\n  ")))
}

fn tried(ground: &Ground<Scripted>, case: &Slow, base: &str) -> Result<Vec<Row>> {
    let mut command: Command = command(ground, tools::program("slowhttptest")?, relay::ADDRESS)?;
    let path = if case.is_read() { "/large" } else { "/hello" };
    command.args(case.arguments.split(' ')).args(["-p", "5", "-g", "-o", "slow", "-u", &format!("{base}{path}")]);
    let output = command.output()?;
    let said = || String::from_utf8_lossy(&output.stdout).into_owned();
    rows(&ground.site.folder().join("slow.csv")).with_context(said)
}

/// The statistics that it wrote: second, closed, pending, connected, whether the probe was answered.
fn rows(file: &Path) -> Result<Vec<Row>> {
    let text = std::fs::read_to_string(file)?;
    std::fs::remove_file(file)?;
    let row = |line: &str| {
        let numbers: Vec<u64> = line.split(',').map(|number| number.trim().parse()).collect::<Result<_, _>>()?;
        let [second, _, _, connected, served] = numbers[..] else { anyhow::bail!("`{line}` are not five numbers") };
        Ok(Row { second, connected, is_served: served > 0 })
    };
    text.lines().skip(1).filter(|line| !line.is_empty()).map(row).collect()
}
