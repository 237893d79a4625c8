//! stub
use handaxe_types::{Policy, Scores, Trial, Verdict};
pub fn judge(trial: &Trial, _policy: &Policy) -> Verdict {
    Verdict {
        subject: trial.subject,
        accepted: false,
        reasons: vec![],
        scores: Scores::default(),
        findings: trial.findings.clone(),
    }
}
