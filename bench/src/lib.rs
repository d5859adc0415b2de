//! Benchmarks of keygress: they measure, tests assert. Policies of any size, made from a number.

/// A policy of `rules` rules with a credential each, on `hosts` hosts; one in ten rules has an `except`.
#[must_use]
pub fn policy_of(rules: usize, hosts: usize) -> String {
    let mut text = String::from(
        "version: 1\n\
         workloads:\n  app: { process: { user: app } }\n\
         credentials:\n  key:\n    owner: team@example.com\n    static: { reason: bench, expires: 2099-01-01 }\n    \
         source: { environment: KEY }\n    inject: bearer\n    only_to: [",
    );
    let hosts = hosts.clamp(1, rules.max(1));
    for host in 0..hosts {
        text += &format!("{}api-{host}.example.com", if host == 0 { "" } else { ", " });
    }
    text += "]\nrules:\n";
    for rule in 0..rules {
        let host = rule % hosts;
        text += &format!(
            "  rule-{rule}:\n    from: [app]\n    to: https://api-{host}.example.com\n    \
             allow: [GET /v1/things-{rule}/{{id}}, POST /v1/things-{rule}]\n    credential: key\n"
        );
        if rule % 10 == 0 {
            text += &format!("    except: [GET /v1/things-{rule}/secret]\n");
        }
    }
    text
}
