//! Policies of any size, made from a number.

/// How many rules one file holds: a file of a policy is at most 8 MiB.
const RULES_IN_A_FILE: usize = 20_000;

/// The files of a policy of `rules` rules, all with a credential, on `hosts` hosts; one in ten has an `except`.
#[must_use]
pub fn policy_of(rules: usize, hosts: usize) -> Vec<String> {
    let hosts = hosts.clamp(1, rules.max(1));
    let only_to: Vec<String> = (0..hosts).map(|host| format!("api-{host}.example.com")).collect();
    let head = format!(
        "version: 1\n\
         workloads:\n  app: {{ process: {{ user: app }} }}\n\
         credentials:\n  key:\n    owner: team@example.com\n    static: {{ reason: bench, expires: 2099-01-01 }}\n    \
         source: {{ environment: KEY }}\n    inject: bearer\n    only_to: [{}]\n",
        only_to.join(", ")
    );
    let mut files = vec![head];
    let numbers: Vec<usize> = (0..rules).collect();
    for chunk in numbers.chunks(RULES_IN_A_FILE) {
        files.push(format!("version: 1\nrules:\n{}", chunk.iter().map(|rule| rule_of(*rule, hosts)).collect::<String>()));
    }
    files
}

fn rule_of(rule: usize, hosts: usize) -> String {
    let except = if rule.is_multiple_of(10) { format!("    except: [GET /v1/things-{rule}/secret]\n") } else { String::new() };
    format!(
        "  rule-{rule}:\n    from: [app]\n    to: https://api-{}.example.com\n    \
         allow: [\"GET /v1/things-{rule}/{{id}}\", POST /v1/things-{rule}]\n    credential: key\n{except}",
        rule % hosts
    )
}
