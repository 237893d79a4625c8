//! Whether a sandbox is strong enough for a tool of this kind: asked before a draft is tried and
//! before every call.

use handaxe_types::{Isolation, IsolationPolicy, Policy, Profile};

use crate::gate::shown;

/// The policy asks for more than the sandbox gives. `line` quotes the policy as it stands.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "tools of the domain `{domain}` need isolation `{}`, and the sandbox `{backend}` gives `{}`: {line}",
    wanted.as_str(),
    given.as_str()
)]
pub struct IsolationRefusal {
    pub domain: String,
    pub wanted: Isolation,
    pub backend: String,
    pub given: Isolation,
    pub line: String,
}

/// Compares the sandbox's level with the one that the policy names for the domain, else for all.
pub fn isolation(policy: &Policy, domain: &str, profile: &Profile) -> Result<(), IsolationRefusal> {
    let IsolationPolicy { least, domains } = &policy.isolation;
    let named = domains
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(domain.trim()));
    let (wanted, line) = match named {
        Some((name, wanted)) => {
            let (name, level) = (shown(name), wanted.as_str());
            (*wanted, format!("[isolation.domains] {name} = \"{level}\""))
        }
        None => (
            *least,
            format!("[isolation] least = \"{}\"", least.as_str()),
        ),
    };
    if profile.level >= wanted {
        return Ok(());
    }
    Err(IsolationRefusal {
        domain: shown(domain),
        wanted,
        backend: profile.name.clone(),
        given: profile.level,
        line: format!("policy.toml {line}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use handaxe_types::Digest;

    #[test]
    fn a_weaker_sandbox_is_refused_and_the_line_is_quoted() {
        use Isolation::{Container, Guest, Jail, Landlock};
        let mut policy = Policy::default();
        policy.isolation.domains.insert("text".to_owned(), Jail);
        policy
            .isolation
            .domains
            .insert("maths".to_owned(), Landlock);
        for (domain, level, line) in [
            ("analysis", Container, None),
            ("analysis", Jail, None),
            ("analysis", Guest, None),
            (
                "analysis",
                Landlock,
                Some("[isolation] least = \"container\""),
            ),
            ("text", Jail, None),
            (
                " Text",
                Container,
                Some("[isolation.domains] text = \"jail\""),
            ),
            (
                "text",
                Landlock,
                Some("[isolation.domains] text = \"jail\""),
            ),
            // Named by hand, the weakest will do.
            ("maths", Landlock, None),
        ] {
            let profile = Profile::new("p", level, &[], Digest::of(b"p"));
            let said = isolation(&policy, domain, &profile).map_err(|e| e.to_string());
            match line {
                None => assert_eq!(said, Ok(()), "{domain} {level:?}"),
                Some(line) => {
                    let said = said.unwrap_err();
                    assert!(said.ends_with(&format!("policy.toml {line}")), "{said}");
                }
            }
        }
    }
}
