use anyhow::{Result, ensure};
use keygress_policy::problem::{Colour, Severity, SourceFile, render};

/// Keys and values of policies, and what YAML does with text.
pub(super) const WORDS: &[&str] = &[
    "version: 1\n",
    "workloads:\n",
    "credentials:\n",
    "rules:\n",
    "tests:\n",
    "  a: ",
    "{ ",
    " }",
    "[",
    "]",
    ": ",
    ", ",
    "\n",
    "\n  ",
    "- ",
    "&x ",
    "*x",
    "!!str ",
    "<<: ",
    "\"",
    "'",
    "| \n",
    "> \n",
    "#",
    "---\n",
    "...\n",
    "%YAML 1.2\n",
    "\t",
    "\u{feff}",
    "null",
    "~",
    "1e999",
    "0x7f",
    "from: any\n",
    "to: https://api.test\n",
    "allow: [GET /**]\n",
    "except: [",
    "credential: a\n",
    "inject: bearer\n",
    "inject: { header: { name: x } }\n",
    "source: { file: /x }\n",
    "only_to: ['*.test']\n",
    "owner: a@b.c\n",
    "static: { reason: a, expires: 2099-12-31 }\n",
    "placeholder: { env: A, like: b }\n",
    "limit: 5/s\n",
    "allow_ips: [10.0.0.0/8]\n",
    "unsafe_plaintext: true\n",
    "request_trailers: [x]\n",
    "route: a\n",
    "preset: github\n",
    "task: { labels: { a: b } }\n",
    "process: { user: a }\n",
    "GET /a/{b}/**",
];

/// The day of all policies here.
const TODAY: &str = "2026-01-01";

/// A document is a policy or a list of problems, the same each time; each problem lies in the file, says what is wrong, and can be shown.
pub(super) fn document(bytes: &[u8]) -> Result<()> {
    let text = String::from_utf8_lossy(bytes).into_owned();
    let today = TODAY.parse()?;
    let files = [SourceFile { name: "policy.yaml".to_owned(), text: text.clone() }];
    let read = || match keygress::Policy::compile(&files, today) {
        Ok((policy, lints)) => (Some(policy.rules().len()), lints),
        Err(problems) => (None, problems),
    };
    let (policy, problems) = read();
    ensure!(policy.is_some() || problems.iter().any(|problem| problem.severity == Severity::Error), "refused, and nothing is wrong");
    for problem in &problems {
        ensure!(!problem.message.is_empty(), "a problem without a message: {problem:?}");
        let places = problem.place.iter().chain(problem.related.iter().map(|(place, _)| place));
        for place in places {
            ensure!(place.file == 0 && text.get(place.start..place.end).is_some(), "a problem outside the file: {problem:?}");
        }
    }
    let shown = render(&problems, &files, Colour::Plain);
    let again = render(&read().1, &files, Colour::Plain);
    ensure!(shown == again, "the second reading differs:\n{shown}\n{again}");
    Ok(())
}
