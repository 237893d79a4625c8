//! `handaxe approvals`: what waits for a person, and the person's word.

use handaxe_agent::{Approver as _, Card, Decision};
use handaxe_registry::{ApprovalDetail, ApproveError, RegisteredTool};
use handaxe_types::{ApprovalHow, ApprovalId, ApprovalMethod, ApprovalState, RunId};
use serde_json::json;

use crate::approver::{sealed_key, unlock};
use crate::asking::Asking;
use crate::cli::{ApprovalsCommand, SignArgs};
use crate::failure::{Exit, Failure, Outcome, chain};
use crate::home::login;
use crate::render::text::clip;
use crate::render::{card_width, code_page, diff_page, good, render_card, strong, table, when};
use crate::workshop::{Workshop, registry_failure};

pub(crate) fn run(shop: &Workshop, command: ApprovalsCommand) -> Outcome {
    match command {
        ApprovalsCommand::List { all } => list(shop, all),
        ApprovalsCommand::Show { id, code } => show(shop, ApprovalId(id), code),
        ApprovalsCommand::Review { id } => review(shop, ApprovalId(id)),
        ApprovalsCommand::Approve { id, digest, sign } => {
            approve(shop, ApprovalId(id), digest.as_deref(), &sign)
        }
        ApprovalsCommand::Reject { id, reason } => reject(shop, ApprovalId(id), &reason),
    }
}

fn list(shop: &Workshop, all: bool) -> Outcome {
    let state = (!all).then_some(ApprovalState::Waiting);
    let approvals = shop
        .registry()?
        .approvals(state)
        .map_err(|e| registry_failure(&e))?;
    shop.out.document(&json!({ "approvals": approvals }))?;
    if approvals.is_empty() {
        shop.out.say("Nothing waits for approval.");
        return Ok(Exit::Done);
    }
    let rows = approvals.iter().map(row).collect();
    shop.out.say(table(
        &["id", "tool", "state", "made at", "by", "for"],
        rows,
    ));
    Ok(Exit::Done)
}

fn row(detail: &ApprovalDetail) -> Vec<String> {
    let r = &detail.request;
    vec![
        r.id.to_string(),
        format!("{}@{}", r.tool, r.version),
        r.state.as_str().to_owned(),
        when(r.created_ms),
        detail.author.clone(),
        clip(&r.why, 50),
    ]
}

fn card(shop: &Workshop, id: ApprovalId) -> Result<Card, Failure> {
    Card::of(shop.registry()?, id)
        .map_err(|e| registry_failure(&e))?
        .ok_or_else(|| no_such(id))
}

fn detail(shop: &Workshop, id: ApprovalId) -> Result<ApprovalDetail, Failure> {
    shop.registry()?
        .approval(id)
        .map_err(|e| registry_failure(&e))?
        .ok_or_else(|| no_such(id))
}

fn no_such(id: ApprovalId) -> Failure {
    Failure::failed("not_found", format!("there is no approval {id}"))
        .hint("handaxe approvals list")
}

fn refused(error: &ApproveError) -> Failure {
    Failure::new(Exit::Refused, error.kind(), chain(error)).hint(error.hint())
}

fn show(shop: &Workshop, id: ApprovalId, code: bool) -> Outcome {
    let (detail, card) = (detail(shop, id)?, card(shop, id)?);
    shop.out
        .document(&json!({ "approval": detail, "card": card }))?;
    let state = detail.request.state;
    shop.out
        .say(strong().apply_to(format!("Approval {id}: {}", state.as_str())));
    shop.out.say(render_card(&card, card_width()).trim_end());
    if code {
        shop.out.say(code_page(&card, shop.out.color()).trim_end());
        if !card.diffs.is_empty() {
            shop.out.say(diff_page(&card).trim_end());
        }
    }
    if state == ApprovalState::Waiting {
        let short = detail.request.subject.0.short();
        shop.out.say(format!(
            "\n  handaxe approvals review {id}          code, cases, evidence, and your decision\n  handaxe approvals approve {id} --digest {short}\n  handaxe approvals reject {id} --reason \"…\""
        ));
    }
    Ok(Exit::Done)
}

/// The card at the terminal, key by key.
fn review(shop: &Workshop, id: ApprovalId) -> Outcome {
    if !Asking::possible(shop) {
        return Err(Failure::new(
            Exit::Waiting,
            "no_terminal",
            "a review needs a terminal, and there is none",
        )
        .hint(format!(
            "handaxe approvals show {id} --code; then handaxe approvals approve {id} --digest …"
        )));
    }
    let card = card(shop, id)?;
    if card.request.state != ApprovalState::Waiting {
        return Err(refused(&ApproveError::AlreadyDecided {
            id,
            state: card.request.state,
        }));
    }
    let registry = shop.registry()?;
    let subject = card.request.subject;
    let registered = match Asking::new(shop, None)?.decide(&card) {
        Decision::Approve { approver, method } => {
            registry.approve_and_register(id, subject, &approver, method)
        }
        Decision::Sign(signature) => registry.approve_signed(id, subject, &signature),
        Decision::Reject { reason, .. } => return reject(shop, id, &reason),
        // Only a run uses what it made.
        Decision::Wait | Decision::UseOnce { .. } => {
            shop.out.say(format!("Approval {id} stays waiting."));
            return Ok(Exit::Waiting);
        }
        Decision::Edit { .. } => {
            return Err(Failure::usage("a change here would not be proved")
                .hint("export the tool's folder, change it there, and `handaxe tools import` it"));
        }
    }
    .map_err(|e| refused(&e))?;
    tell_registered(shop, &registered, card.request.run)
}

fn approve(shop: &Workshop, id: ApprovalId, digest: Option<&str>, sign: &SignArgs) -> Outcome {
    let mut request = detail(shop, id)?.request;
    let subject = request.subject;
    if let Some(prefix) = digest
        && (prefix.len() < 6 || !subject.to_string().starts_with(&prefix.to_lowercase()))
    {
        return Err(Failure::new(
            Exit::Refused,
            "digest_changed",
            format!(
                "approval {id} is for digest {}, not {prefix}",
                subject.0.short()
            ),
        )
        .hint(format!("handaxe approvals show {id}")));
    }
    let registry = shop.registry()?;
    // A yes that the policy does not take any more is asked for again; one that counts stands.
    if request.state == ApprovalState::Approved {
        request = registry.renew_approval(id).map_err(|e| refused(&e))?;
    }
    let by_key = shop.home()?.policy.approval.how == ApprovalHow::Key || sign.key.is_some();
    let registered = if by_key {
        let sealed = sealed_key(&registry.keys_dir(), sign.key.as_deref())?;
        let key = unlock(&sealed, sign.passphrase_file.as_deref())?;
        let signature = key.sign_approval(registry.home_id(), &request);
        registry.approve_signed(id, subject, &signature)
    } else {
        registry.approve_and_register(id, subject, &login(), ApprovalMethod::Command)
    }
    .map_err(|e| refused(&e))?;
    tell_registered(shop, &registered, request.run)
}

fn tell_registered(shop: &Workshop, registered: &RegisteredTool, run: Option<RunId>) -> Outcome {
    shop.out.document(&json!({
        "tool": registered.name(),
        "version": registered.version(),
        "approval": registered.approval(),
        "run": run,
    }))?;
    shop.out
        .say(good().apply_to(format!("Registered {}.", registered.tool_ref())));
    if let Some(run) = run {
        let waiting = shop
            .registry()?
            .run(&run)
            .map_err(|e| registry_failure(&e))?;
        if waiting.is_some_and(|r| !r.task.data.is_empty()) {
            shop.out.say(format!(
                "  handaxe runs resume {run}   answers the question it was made for"
            ));
        }
    }
    Ok(Exit::Done)
}

fn reject(shop: &Workshop, id: ApprovalId, reason: &str) -> Outcome {
    shop.registry()?
        .reject(id, &login(), reason)
        .map_err(|e| refused(&e))?;
    shop.out
        .document(&json!({ "approval": id, "state": "rejected" }))?;
    shop.out.say(format!("Rejected approval {id}."));
    Ok(Exit::Done)
}
