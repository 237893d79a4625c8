//! `handaxe approvals`: what waits for a person, and the person's word.

use handaxe_agent::Card;
use handaxe_registry::{ApprovalDetail, Proposal};
use handaxe_types::{ApprovalId, ApprovalMethod, ApprovalState, Plan};
use serde_json::json;

use crate::cli::ApprovalsCommand;
use crate::failure::{Exit, Failure, Outcome, chain};
use crate::home::login;
use crate::render::text::{Lines, clip};
use crate::render::{good, highlight, render_card, strong, table, when};
use crate::workshop::{Workshop, registry_failure};

pub(crate) fn run(shop: &Workshop, command: ApprovalsCommand) -> Outcome {
    match command {
        ApprovalsCommand::List { all } => list(shop, all),
        ApprovalsCommand::Show { id, code } => show(shop, ApprovalId(id), code),
        ApprovalsCommand::Approve { id, digest } => {
            approve(shop, ApprovalId(id), digest.as_deref())
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

fn proposal(shop: &Workshop, id: ApprovalId) -> Result<Proposal, Failure> {
    shop.registry()?
        .proposal(id)
        .map_err(|e| registry_failure(&e))?
        .ok_or_else(|| {
            Failure::failed("not_found", format!("there is no approval {id}"))
                .hint("handaxe approvals list")
        })
}

/// The card of a proposal, as it was shown when it was made.
fn card(shop: &Workshop, proposal: Proposal) -> Result<Card, Failure> {
    let registry = shop.registry()?;
    let request = proposal.approval.request;
    let (mut plan, mut attempt, mut diff) = (Vec::new(), 1, String::new());
    if let Some(run) = &request.run {
        let detail = registry.run(run).map_err(|e| registry_failure(&e))?;
        plan = detail
            .and_then(|d| d.plan)
            .map(|p: Plan| p.steps)
            .unwrap_or_default();
        let attempts = registry.attempts(run).map_err(|e| registry_failure(&e))?;
        let accepted = attempts.into_iter().rev().find(|a| {
            a.draft
                .as_ref()
                .is_some_and(|d| d.code == proposal.draft.code)
        });
        if let Some(accepted) = accepted {
            attempt = accepted.n;
            diff = accepted.diff;
        }
    }
    Ok(Card {
        request,
        self_approval: proposal.approval.author == login(),
        cases: proposal.trial.cases.clone(),
        interpreter: proposal.trial.interpreter.clone(),
        draft: proposal.draft,
        verdict: proposal.verdict,
        attempt,
        diff,
        plan,
    })
}

fn show(shop: &Workshop, id: ApprovalId, code: bool) -> Outcome {
    let proposal = proposal(shop, id)?;
    let detail = proposal.approval.clone();
    let card = card(shop, proposal)?;
    shop.out
        .document(&json!({ "approval": detail, "card": card }))?;
    let state = detail.request.state;
    shop.out
        .say(strong().apply_to(format!("Approval {id}: {}", state.as_str())));
    shop.out.say(render_card(&card).trim_end());
    if code {
        shop.out
            .say(highlight(&card.draft.code, shop.out.color()).trim_end());
    }
    if !card.diff.is_empty() {
        shop.out.say(Lines(card.diff.trim_end()));
    }
    if state == ApprovalState::Waiting {
        let short = detail.request.subject.0.short();
        shop.out.say(format!(
            "\n  handaxe approvals show {id} --code          read the code\n  handaxe approvals approve {id} --digest {short}\n  handaxe approvals reject {id} --reason \"…\""
        ));
    }
    Ok(Exit::Done)
}

fn approve(shop: &Workshop, id: ApprovalId, digest: Option<&str>) -> Outcome {
    let proposal = proposal(shop, id)?;
    let subject = proposal.approval.request.subject;
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
    let registered = shop
        .registry()?
        .approve_and_register(id, subject, &login(), ApprovalMethod::Command)
        .map_err(|e| Failure::new(Exit::Refused, e.kind(), chain(&e)).hint(e.hint()))?;
    let run = proposal.approval.request.run;
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
        .map_err(|e| Failure::new(Exit::Refused, e.kind(), chain(&e)).hint(e.hint()))?;
    shop.out
        .document(&json!({ "approval": id, "state": "rejected" }))?;
    shop.out.say(format!("Rejected approval {id}."));
    Ok(Exit::Done)
}
