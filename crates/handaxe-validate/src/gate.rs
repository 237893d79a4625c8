//! Whether a tool of this kind may be made at all: asked before any code is written.

use handaxe_types::{DomainPolicy, Need, Policy, ToolRequest};

/// Why a request was turned down. `line` quotes the policy as it stands.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DomainRefusal {
    #[error("`{tool}` would need {}, which the policy denies: {line}", describe(*need))]
    DeniedNeed {
        tool: String,
        need: Need,
        line: String,
    },
    /// Not in the policy's deny list, and still never given: no sandbox of ours can grant it.
    #[error(
        "`{tool}` would need {}, which no tool is ever given: a tool sees its input and its attached files only",
        describe(*need)
    )]
    NeverGiven { tool: String, need: Need },
    #[error("`{tool}` belongs to the domain `{domain}`, which the policy denies: {line}")]
    DeniedDomain {
        tool: String,
        domain: String,
        line: String,
    },
    #[error("`{tool}` belongs to the domain `{domain}`, which the policy does not allow: {line}")]
    UnlistedDomain {
        tool: String,
        domain: String,
        line: String,
    },
}

fn describe(need: Need) -> &'static str {
    match need {
        Need::ReadFiles => "its attached files",
        Need::WriteFiles => "to write files",
        Need::Network => "the network",
        Need::Processes => "other processes",
        Need::Credentials => "credentials",
        Need::SystemControl => "control of the system",
        Need::OtherFiles => "files that were not attached",
        Need::Devices => "devices of this machine",
    }
}

/// Rests on what the job needs and on its domain, never on its vocabulary.
pub fn gate(policy: &Policy, request: &ToolRequest) -> Result<(), DomainRefusal> {
    let tool = || request.name.to_string();
    let DomainPolicy { allow, deny } = &policy.domains;
    for &need in &request.needs {
        if matches!(need, Need::ReadFiles | Need::WriteFiles) {
            continue;
        }
        return Err(if listed(deny, need.as_str()) {
            DomainRefusal::DeniedNeed {
                tool: tool(),
                need,
                line: quote("deny", deny),
            }
        } else {
            DomainRefusal::NeverGiven { tool: tool(), need }
        });
    }
    let domain = shown(&request.domain);
    if listed(deny, &request.domain) {
        return Err(DomainRefusal::DeniedDomain {
            tool: tool(),
            domain,
            line: quote("deny", deny),
        });
    }
    if !listed(allow, &request.domain) {
        return Err(DomainRefusal::UnlistedDomain {
            tool: tool(),
            domain,
            line: quote("allow", allow),
        });
    }
    Ok(())
}

fn listed(names: &[String], name: &str) -> bool {
    names.iter().any(|n| n.eq_ignore_ascii_case(name.trim()))
}

/// The domain comes from a model: bounded and escaped before it reaches a terminal.
pub(crate) fn shown(domain: &str) -> String {
    domain
        .chars()
        .take(60)
        .flat_map(char::escape_debug)
        .collect()
}

fn quote(key: &str, names: &[String]) -> String {
    let names: Vec<String> = names.iter().map(|n| format!("\"{}\"", shown(n))).collect();
    format!("policy.toml [domains] {key} = [{}]", names.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use handaxe_types::ToolName;

    fn request(domain: &str, needs: &[Need]) -> ToolRequest {
        ToolRequest {
            name: ToolName::new("some_tool").unwrap(),
            purpose: "scan the network, says the text; the needs decide".to_owned(),
            domain: domain.to_owned(),
            needs: needs.to_vec(),
        }
    }

    #[test]
    fn needs_decide_and_words_do_not() {
        let policy = Policy::default();
        assert_eq!(gate(&policy, &request("text", &[Need::ReadFiles])), Ok(()));
        for need in [
            Need::Network,
            Need::Processes,
            Need::Credentials,
            Need::SystemControl,
            Need::OtherFiles,
            Need::Devices,
        ] {
            let refusal = gate(&policy, &request("text", &[Need::ReadFiles, need])).unwrap_err();
            let message = refusal.to_string();
            assert!(message.contains("policy.toml [domains] deny"), "{message}");
            assert!(message.contains(need.as_str()), "{message}");
        }
    }

    #[test]
    fn a_need_struck_from_the_list_is_still_never_given() {
        let mut policy = Policy::default();
        policy.domains.deny.clear();
        policy.domains.allow.push("network".to_owned());
        assert!(matches!(
            gate(&policy, &request("network", &[Need::Network])),
            Err(DomainRefusal::NeverGiven { .. })
        ));
    }

    #[test]
    fn domains() {
        let policy = Policy::default();
        assert!(gate(&policy, &request("Analysis ", &[])).is_ok());
        assert!(matches!(
            gate(&policy, &request("network", &[])),
            Err(DomainRefusal::DeniedDomain { .. })
        ));
        let odd = gate(&policy, &request("any\u{1b}[31m", &[])).unwrap_err();
        assert!(matches!(odd, DomainRefusal::UnlistedDomain { .. }));
        assert!(!odd.to_string().contains('\u{1b}'));
    }
}
