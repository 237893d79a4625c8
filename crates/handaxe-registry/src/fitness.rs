//! Whether a yes counts: asked when it is given, and again before every run.

use handaxe_types::{Approval, ApprovalHow, ApprovalMethod, ApprovalPolicy, ApprovalRequest};
use rusqlite::Connection;

use crate::approver::approval_holds;
use crate::error::{RegistryError, Unfit};
use crate::keys::{KeyInfo, KeyState, approver_key};

/// `Ok(None)` where the yes counts under the policy. A signed yes is held to its signature
/// whatever the policy says.
pub(crate) fn unfit(
    conn: &Connection,
    home_id: &str,
    policy: &ApprovalPolicy,
    request: &ApprovalRequest,
    approval: &Approval,
) -> Result<Option<Unfit>, RegistryError> {
    if approval.self_approved && policy.two_person {
        return Ok(Some(Unfit::SelfApproval {
            approver: approval.approver.clone(),
        }));
    }
    let Some(signature) = &approval.signature else {
        let method = approval.method.as_str();
        return Ok(if approval.method == ApprovalMethod::Key {
            Some(Unfit::Signature)
        } else if policy.how == ApprovalHow::Key {
            Some(Unfit::NotSigned { method })
        } else {
            None
        });
    };
    let key = signature.key;
    let Some(info) = approver_key(conn, home_id, policy, key)? else {
        return Ok(Some(Unfit::UnknownKey { key }));
    };
    if info.state == KeyState::Revoked {
        return Ok(Some(Unfit::RevokedKey { key }));
    }
    if policy.how == ApprovalHow::Key
        && !policy.approvers.is_empty()
        && !policy.approvers.contains(&key)
    {
        return Ok(Some(Unfit::NotNamed { key }));
    }
    let holds = info
        .public_key()
        .is_some_and(|public| approval_holds(&public, home_id, request, signature));
    Ok((!holds || info.name != approval.approver).then_some(Unfit::Signature))
}

/// The key that a new yes may be signed with: enrolled and still in use.
pub(crate) fn signing_approver(
    conn: &Connection,
    home_id: &str,
    policy: &ApprovalPolicy,
    key: handaxe_types::Digest,
) -> Result<Result<KeyInfo, Unfit>, RegistryError> {
    Ok(match approver_key(conn, home_id, policy, key)? {
        None => Err(Unfit::UnknownKey { key }),
        Some(info) if info.state != KeyState::Current => Err(Unfit::RevokedKey { key }),
        Some(info) => Ok(info),
    })
}
