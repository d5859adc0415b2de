use std::fmt::Write;
use std::net::IpAddr;

/// The table that is ours, whole: nothing of it is anybody else's, and nothing of ours is elsewhere.
pub(super) const TABLE: &str = "inet keygress";

/// What the rules are to do.
#[derive(Debug)]
pub(super) struct Rules {
    /// The user that keygress runs as.
    pub(super) user: Option<u32>,
    /// The mark on what keygress dials.
    pub(super) mark: Option<u32>,
    /// The port of the transparent listener.
    pub(super) to: u16,
    /// Captured TCP ports; none stands for all.
    pub(super) ports: Vec<u16>,
    /// Whose connections; none stands for everyone's but keygress'.
    pub(super) from: Vec<u32>,
    /// What becomes of all else.
    pub(super) rest: Rest,
}

/// What becomes of what is neither captured nor keygress' own.
#[derive(Debug)]
pub(super) enum Rest {
    Passes,
    Refused {
        /// Resolvers that may still be asked.
        resolvers: Vec<IpAddr>,
    },
}

impl Rules {
    /// The table, line by line as nftables itself lists it: what is in force can be compared with it.
    pub(super) fn table(&self) -> String {
        let mut text = format!("table {TABLE} {{\n\tchain capture {{\n\t\ttype nat hook output priority -100; policy accept;\n");
        self.line(&mut text, &self.exempt("return"));
        self.line(&mut text, &["ip daddr 127.0.0.0/8 return".into(), "ip6 daddr ::1 return".into()]);
        let which = if self.ports.is_empty() { "meta l4proto tcp".into() } else { format!("tcp dport {}", set(&self.ports)) };
        self.line(&mut text, &[format!("{which} redirect to :{}", self.to)]);
        text.push_str("\t}\n\n\tchain guard {\n\t\ttype filter hook output priority filter; policy accept;\n");
        self.line(&mut text, &self.exempt("accept"));
        // What is captured still shows the interface that it would have left by.
        self.line(&mut text, &["oifname \"lo\" accept", "ip daddr 127.0.0.0/8 accept", "ip6 daddr ::1 accept"].map(str::to_owned));
        // HTTP/3 would go round: told at once, a client falls back to TCP.
        self.line(&mut text, &["udp dport 443 reject".into()]);
        if let Rest::Refused { resolvers } = &self.rest {
            self.line(&mut text, &["ct state established,related accept".into()]);
            // Without it there is no IPv6 at all.
            self.line(&mut text, &["icmpv6 type { nd-router-solicit, nd-neighbor-solicit, nd-neighbor-advert } accept".into()]);
            for resolver in resolvers {
                let family = if resolver.is_ipv4() { "ip" } else { "ip6" };
                self.line(&mut text, &["udp", "tcp"].map(|protocol| format!("{family} daddr {resolver} {protocol} dport 53 accept")));
            }
            self.line(&mut text, &["reject".into()]);
        }
        text.push_str("\t}\n}\n");
        text
    }

    /// What makes the table so, whatever it was before, in one transaction.
    pub(super) fn script(&self) -> String {
        removal() + &self.table()
    }

    fn line(&self, text: &mut String, rules: &[String]) {
        for rule in rules {
            let _ = writeln!(text, "\t\t{rule}");
        }
    }

    /// Whom the rules leave alone.
    fn exempt(&self, verdict: &str) -> Vec<String> {
        let user = self.user.map(|user| format!("meta skuid {user} {verdict}"));
        let mark = self.mark.map(|mark| format!("meta mark 0x{mark:08x} {verdict}"));
        let others = match self.from.as_slice() {
            [] => None,
            [only] => Some(format!("meta skuid != {only} {verdict}")),
            several => Some(format!("meta skuid != {} {verdict}", set(several))),
        };
        [user, mark, others].into_iter().flatten().collect()
    }
}

/// What takes the table away, also where there is none: deleting what is absent is an error, adding what is there is none.
pub(super) fn removal() -> String {
    format!("table {TABLE}\ndelete table {TABLE}\n")
}

/// One number, or the set of them in ascending order.
fn set<N: Copy + Ord + ToString>(numbers: &[N]) -> String {
    let mut sorted = numbers.to_vec();
    sorted.sort_unstable();
    sorted.dedup();
    let texts: Vec<_> = sorted.iter().map(ToString::to_string).collect();
    match texts.as_slice() {
        [only] => only.clone(),
        several => format!("{{ {} }}", several.join(", ")),
    }
}

/// What stands in one listing and not in the other, line by line: `- ` what would go, `+ ` what would come. Empty where they are the same.
pub(super) fn difference(before: &str, after: &str) -> String {
    let lines = |text: &str| -> Vec<String> { text.lines().map(normal).filter(|line| !line.is_empty()).collect() };
    let (before, after) = (lines(before), lines(after));
    if before == after {
        return String::new();
    }
    let mut text = String::new();
    for (sign, these) in [('-', &before), ('+', &after)] {
        let others = if sign == '-' { &after } else { &before };
        let only: Vec<_> = these.iter().filter(|line| !others.contains(line)).collect();
        // The same lines in another order are another table.
        for line in if only.is_empty() && before.len() == after.len() { these.iter().collect() } else { only } {
            let _ = writeln!(text, "{sign} {line}");
        }
    }
    text
}

/// A line without what versions of nftables write differently: indentation, and the kind of a plain `reject`.
fn normal(line: &str) -> String {
    let line = line.trim();
    line.strip_suffix(" with icmpx type port-unreachable")
        .or_else(|| line.strip_suffix(" with icmpx port-unreachable"))
        .unwrap_or(line)
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules() -> Rules {
        Rules { user: Some(991), mark: None, to: 8788, ports: vec![443, 80], from: Vec::new(), rest: Rest::Passes }
    }

    #[test]
    fn the_usual_rules() {
        insta::assert_snapshot!(rules().script(), @r#"
        table inet keygress
        delete table inet keygress
        table inet keygress {
        	chain capture {
        		type nat hook output priority -100; policy accept;
        		meta skuid 991 return
        		ip daddr 127.0.0.0/8 return
        		ip6 daddr ::1 return
        		tcp dport { 80, 443 } redirect to :8788
        	}

        	chain guard {
        		type filter hook output priority filter; policy accept;
        		meta skuid 991 accept
        		oifname "lo" accept
        		ip daddr 127.0.0.0/8 accept
        		ip6 daddr ::1 accept
        		udp dport 443 reject
        	}
        }
        "#);
    }

    #[test]
    fn everything_at_once() {
        let rest = Rest::Refused { resolvers: vec!["192.0.2.53".parse().unwrap(), "2001:db8::53".parse().unwrap()] };
        let table = Rules { mark: Some(7), ports: Vec::new(), from: vec![1002, 1001], rest, ..rules() }.table();
        insta::assert_snapshot!(table, @r#"
        table inet keygress {
        	chain capture {
        		type nat hook output priority -100; policy accept;
        		meta skuid 991 return
        		meta mark 0x00000007 return
        		meta skuid != { 1001, 1002 } return
        		ip daddr 127.0.0.0/8 return
        		ip6 daddr ::1 return
        		meta l4proto tcp redirect to :8788
        	}

        	chain guard {
        		type filter hook output priority filter; policy accept;
        		meta skuid 991 accept
        		meta mark 0x00000007 accept
        		meta skuid != { 1001, 1002 } accept
        		oifname "lo" accept
        		ip daddr 127.0.0.0/8 accept
        		ip6 daddr ::1 accept
        		udp dport 443 reject
        		ct state established,related accept
        		icmpv6 type { nd-router-solicit, nd-neighbor-solicit, nd-neighbor-advert } accept
        		ip daddr 192.0.2.53 udp dport 53 accept
        		ip daddr 192.0.2.53 tcp dport 53 accept
        		ip6 daddr 2001:db8::53 udp dport 53 accept
        		ip6 daddr 2001:db8::53 tcp dport 53 accept
        		reject
        	}
        }
        "#);
    }

    #[test]
    fn a_difference_is_named_line_by_line() {
        let (before, after) = (rules().table(), Rules { to: 9000, ..rules() }.table());
        assert_eq!(difference(&before, &before.replace('\t', "  ")), "");
        assert_eq!(difference(&before, &after), "- tcp dport { 80, 443 } redirect to :8788\n+ tcp dport { 80, 443 } redirect to :9000\n");
        assert_eq!(difference("a\nb\n", "b\na\n"), "- a\n- b\n+ b\n+ a\n");
        assert_eq!(difference("a\nb\n", "a\n"), "- b\n");
        assert!(difference("", &after).lines().all(|line| line.starts_with("+ ")));
    }
}
