//! The controls that people must answer to, in words of ours: which of them the checks speak of, and why of others nothing is said.

use serde::Serialize;

/// A list of controls.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Framework {
    /// Its name.
    pub name: &'static str,
    /// Which version.
    pub version: &'static str,
    /// Who publishes it, and where.
    pub page: &'static str,
    /// Its controls, in its order.
    #[serde(skip)]
    pub controls: &'static [Control],
}

/// One control.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Control {
    /// Its id, as [`super::Check::controls`] has it.
    pub id: &'static str,
    /// What it asks for.
    pub title: &'static str,
    /// Why keygress says nothing of it; empty where a check does.
    pub unseen: &'static str,
}

const fn seen(id: &'static str, title: &'static str) -> Control {
    Control { id, title, unseen: "" }
}

const fn unseen(id: &'static str, title: &'static str, unseen: &'static str) -> Control {
    Control { id, title, unseen }
}

/// Every framework of a report. The ids were compared with the published lists; the titles of NIST and CSA are shortened.
pub const FRAMEWORKS: &[Framework] = &[
    Framework {
        name: "OWASP Non-Human Identities Top 10",
        version: "2025",
        page: "https://owasp.org/www-project-non-human-identities-top-10/2025/top-10-2025",
        controls: &[
            seen("NHI1", "Improper Offboarding"),
            seen("NHI2", "Secret Leakage"),
            unseen("NHI3", "Vulnerable Third-Party NHI", "keygress does not know what a vendor does with its side of a credential"),
            seen("NHI4", "Insecure Authentication"),
            seen("NHI5", "Overprivileged NHI"),
            unseen("NHI6", "Insecure Cloud Deployment Configurations", "trust policies of clouds and CI systems are not read"),
            seen("NHI7", "Long-Lived Secrets"),
            seen("NHI8", "Environment Isolation"),
            seen("NHI9", "NHI Reuse"),
            unseen("NHI10", "Human Use of NHI", "a person who calls as a workload looks like that workload"),
        ],
    },
    Framework {
        name: "NIST Cybersecurity Framework",
        version: "2.0",
        page: "https://doi.org/10.6028/NIST.CSWP.29",
        controls: &[
            seen("GV.RR-02", "Roles, responsibilities and authorities are established and enforced"),
            seen("ID.AM-08", "Systems, software, services and data are managed throughout their life cycles"),
            seen("PR.AA-01", "Identities and credentials of users, services and hardware are managed"),
            seen("PR.AA-03", "Users, services and hardware are authenticated"),
            seen("PR.AA-05", "Permissions are defined in a policy, enforced, reviewed, and follow least privilege"),
            seen("PR.DS-02", "Data in transit is protected"),
            seen("PR.PS-04", "Log records are generated and available for monitoring"),
            seen("DE.CM-09", "Software, runtime environments and their data are monitored"),
            seen("RS.MI-01", "Incidents are contained"),
        ],
    },
    Framework {
        name: "NIST AI Risk Management Framework, Govern",
        version: "1.0",
        page: "https://doi.org/10.6028/NIST.AI.100-1",
        controls: &[
            unseen("GOVERN 1.1", "Legal and regulatory requirements are understood", "a matter of people, not of keys"),
            seen("GOVERN 1.4", "Risk management is established through transparent policies and controls"),
            seen("GOVERN 1.5", "Monitoring and periodic review are planned, with roles and frequency"),
            seen("GOVERN 1.6", "There is an inventory of AI systems"),
            seen("GOVERN 1.7", "AI systems are decommissioned safely"),
            seen("GOVERN 2.1", "Roles and responsibilities are documented and clear"),
            unseen(
                "GOVERN 6.1",
                "Risks of third parties are addressed",
                "keygress does not know what a vendor does with its side of a credential",
            ),
        ],
    },
    Framework {
        name: "CSA MAESTRO, layers of a threat model of agents",
        version: "2025",
        page: "https://cloudsecurityalliance.org/blog/2025/02/06/agentic-ai-threat-modeling-framework-maestro",
        controls: &[
            unseen("MAESTRO 1", "Foundation models", "models are behind the destinations, and not looked into"),
            unseen("MAESTRO 2", "Data operations", "what is stored and retrieved is not looked into"),
            seen("MAESTRO 3", "Agent frameworks: what an agent may do"),
            seen("MAESTRO 4", "Deployment and infrastructure: where its keys are"),
            seen("MAESTRO 5", "Evaluation and observability: what is on record"),
            seen("MAESTRO 6", "Security and compliance, across all layers: who answers for it"),
            seen("MAESTRO 7", "Agent ecosystem: whom it is confused with"),
        ],
    },
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::checks::CHECKS;
    use super::*;

    #[test]
    fn every_control_is_spoken_of_by_a_check_or_says_why_not() {
        let named: BTreeSet<&str> = CHECKS.iter().flat_map(|check| check.controls).copied().collect();
        let listed: Vec<&Control> = FRAMEWORKS.iter().flat_map(|framework| framework.controls).collect();
        for control in &listed {
            assert_eq!(named.contains(control.id), control.unseen.is_empty(), "{}", control.id);
            assert_eq!(listed.iter().filter(|other| other.id == control.id).count(), 1, "{}", control.id);
        }
        let unknown: Vec<_> = named.iter().filter(|id| !listed.iter().any(|control| control.id == **id)).collect();
        assert!(unknown.is_empty(), "{unknown:?}");
    }

    #[test]
    fn every_check_answers_to_each_kind_of_list_that_has_a_word_for_it() {
        for check in CHECKS {
            assert!(check.controls.iter().any(|id| id.starts_with("NHI")) || check.id == "records_lost", "{}", check.id);
            assert!(!check.proves.is_empty() && !check.does_not_prove.is_empty(), "{}", check.id);
        }
    }
}
