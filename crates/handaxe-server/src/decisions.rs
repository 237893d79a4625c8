//! A person's word on what waits, as every door that people use gives it. What may decide here is
//! a session's person; a program's token is no person, and nothing that it reaches leads here.

use std::sync::{Mutex, PoisonError};

use handaxe_agent::{Card, Concern};
use handaxe_registry::{
    ApprovalDetail, ApproveError, ApproverKey, KeyError, KeyState, RegisteredTool, RegistryError,
    sealed_keys,
};
use handaxe_types::{ApprovalHow, ApprovalId, ApprovalMethod, ApprovalState, Digest, ToolDigest};
use zeroize::Zeroizing;

use crate::service::Service;

/// Requests that the queue shows; more are a flood, and the oldest wait.
pub(crate) const MOST_WAITING: usize = 200;
/// A reason is a few sentences.
const MAX_REASON: usize = 2_000;

/// A passphrase takes 64 MiB to try: one at a time, however many ask.
static UNLOCKING: Mutex<()> = Mutex::new(());

/// What a person decides about: the digest is the one that the page showed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen {
    pub(crate) id: ApprovalId,
    pub(crate) digest: ToolDigest,
}

/// The key and the passphrase that open it: used once, kept nowhere.
pub(crate) struct Signing {
    /// The key's id.
    pub(crate) key: Digest,
    pub(crate) passphrase: Zeroizing<String>,
}

/// A key that a person of this home may sign with.
#[derive(Clone, Debug)]
pub(crate) struct OfferedKey {
    pub(crate) id: Digest,
    pub(crate) name: String,
}

/// One request of the queue.
pub(crate) struct Waiting {
    pub(crate) card: Card,
    pub(crate) author: String,
    pub(crate) concern: Concern,
    pub(crate) why: Vec<String>,
}

/// What came of one request of a batch.
pub(crate) type BatchOutcome = (ApprovalId, Result<(), DecideError>);

#[derive(Debug, thiserror::Error)]
pub(crate) enum DecideError {
    #[error("there is no approval {0}")]
    NotFound(ApprovalId),
    /// What the person was shown is not what is there.
    #[error("approval {} is not as it was shown", .now.request.id)]
    Stale {
        now: Box<ApprovalDetail>,
        seen: ToolDigest,
    },
    #[error("a reason is needed: it is what the author and the journal are told")]
    NoReason,
    #[error("the policy asks for an approver's key, and none was named with its passphrase")]
    NoKey,
    #[error("the policy lets nothing be approved in a batch")]
    NoBatch,
    #[error("it asks for a look of its own: {0}")]
    Closer(String),
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error(transparent)]
    Approve(#[from] ApproveError),
    #[error(transparent)]
    Registry(#[from] RegistryError),
}

impl DecideError {
    /// A stable word for programs.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::NotFound(_) => "not_found",
            Self::Stale { .. } => "stale",
            Self::NoReason => "no_reason",
            Self::NoKey => "no_key",
            Self::NoBatch | Self::Closer(_) => "batch",
            Self::Key(e) => e.kind(),
            Self::Approve(e) => e.kind(),
            Self::Registry(_) => "registry",
        }
    }

    pub(crate) fn hint(&self) -> String {
        match self {
            Self::NotFound(_) => "the queue lists what waits".to_owned(),
            Self::Stale { .. } => "look at it as it is now, then decide".to_owned(),
            Self::NoReason => "write one sentence".to_owned(),
            Self::NoKey => {
                "`handaxe keys approver create` makes one; its passphrase is asked for here"
                    .to_owned()
            }
            Self::NoBatch => {
                "approve them one by one, or set `[approval] batch` in policy.toml".to_owned()
            }
            Self::Closer(_) => "open it and decide there".to_owned(),
            Self::Key(e) => e.hint(),
            Self::Approve(e) => e.hint(),
            Self::Registry(e) => e.hint().to_owned(),
        }
    }
}

impl Service {
    /// Whether several may be approved with one word.
    pub(crate) fn batches(&self) -> bool {
        self.policy().approval.batch
    }

    /// Whether a yes has to be signed.
    pub(crate) fn signs(&self) -> bool {
        self.policy().approval.how == ApprovalHow::Key
    }

    /// The keys that lie in this home and are in use.
    pub(crate) fn offered_keys(&self) -> Result<Vec<OfferedKey>, DecideError> {
        let enrolled = self.registry().keys()?;
        let current = |id: Digest| {
            enrolled
                .iter()
                .any(|k| k.key == id && k.state == KeyState::Current)
        };
        let sealed = sealed_keys(&self.registry().keys_dir())?;
        Ok(sealed
            .into_iter()
            .filter_map(|(_, key)| {
                let id = key.public()?.id();
                let name = key.name().to_owned();
                current(id).then_some(OfferedKey { id, name })
            })
            .collect())
    }

    /// What waits, the closest look first, then the oldest.
    pub(crate) fn queue(&self) -> Result<Vec<Waiting>, RegistryError> {
        let registry = self.registry();
        let mut details = registry.approvals(Some(ApprovalState::Waiting))?;
        details.reverse();
        details.truncate(MOST_WAITING);
        let mut waiting = Vec::with_capacity(details.len());
        for detail in details {
            if let Some(card) = Card::of(registry, detail.request.id)? {
                let (concern, why) = card.concern();
                waiting.push(Waiting {
                    card,
                    author: detail.author,
                    concern,
                    why,
                });
            }
        }
        waiting.sort_by_key(|w| w.concern);
        Ok(waiting)
    }

    pub(crate) fn request(&self, id: ApprovalId) -> Result<(ApprovalDetail, Card), DecideError> {
        let registry = self.registry();
        let detail = registry.approval(id)?.ok_or(DecideError::NotFound(id))?;
        let card = Card::of(registry, id)?.ok_or(DecideError::NotFound(id))?;
        Ok((detail, card))
    }

    /// Says yes. A yes that this person said already is no error and changes nothing: `None`.
    pub(crate) fn approve(
        &self,
        person: &str,
        seen: Seen,
        signing: Option<&Signing>,
    ) -> Result<Option<RegisteredTool>, DecideError> {
        if self.said_already(person, seen, ApprovalState::Approved)? {
            return Ok(None);
        }
        let key = self.unlocked(signing)?;
        self.say_yes(person, seen, key.as_ref()).map(Some)
    }

    /// Says yes to several of which none asks for a closer look; each stands or falls by itself.
    pub(crate) fn approve_batch(
        &self,
        person: &str,
        seen: &[Seen],
        signing: Option<&Signing>,
    ) -> Result<Vec<BatchOutcome>, DecideError> {
        if !self.batches() {
            return Err(DecideError::NoBatch);
        }
        let key = self.unlocked(signing)?;
        let decide = |seen: Seen| {
            if self.said_already(person, seen, ApprovalState::Approved)? {
                return Ok(());
            }
            let (concern, why) = self.request(seen.id)?.1.concern();
            if concern != Concern::Plain {
                return Err(DecideError::Closer(why.join("; ")));
            }
            self.say_yes(person, seen, key.as_ref()).map(|_| ())
        };
        let seen = seen.iter().take(MOST_WAITING);
        Ok(seen.map(|s| (s.id, decide(*s))).collect())
    }

    /// Says no.
    pub(crate) fn reject(&self, person: &str, seen: Seen, reason: &str) -> Result<(), DecideError> {
        let reason: String = reason.trim().chars().take(MAX_REASON).collect();
        if reason.is_empty() {
            return Err(DecideError::NoReason);
        }
        if self.said_already(person, seen, ApprovalState::Rejected)? {
            return Ok(());
        }
        Ok(self
            .registry()
            .acting_as(person)
            .reject(seen.id, person, &reason)?)
    }

    /// Whether this very word was said by this person before; an error where what is there is not
    /// what was seen.
    fn said_already(
        &self,
        person: &str,
        seen: Seen,
        word: ApprovalState,
    ) -> Result<bool, DecideError> {
        let found = self.registry().approval(seen.id)?;
        let now = found.ok_or(DecideError::NotFound(seen.id))?;
        let same = now.request.subject == seen.digest;
        let by_key = now.method.as_deref() == Some(ApprovalMethod::Key.as_str());
        let mine = now.approver.as_deref() == Some(person) || (self.signs() && by_key);
        if same && now.request.state == ApprovalState::Waiting {
            return Ok(false);
        }
        if same && now.request.state == word && mine {
            return Ok(true);
        }
        Err(DecideError::Stale {
            now: Box::new(now),
            seen: seen.digest,
        })
    }

    fn say_yes(
        &self,
        person: &str,
        seen: Seen,
        key: Option<&ApproverKey>,
    ) -> Result<RegisteredTool, DecideError> {
        let registry = self.registry().acting_as(person);
        let Some(key) = key else {
            let method = ApprovalMethod::Browser;
            return Ok(registry.approve_and_register(seen.id, seen.digest, person, method)?);
        };
        let request = self.request(seen.id)?.0.request;
        let signature = key.sign_approval(registry.home_id(), &request);
        Ok(registry.approve_signed(seen.id, seen.digest, &signature)?)
    }

    /// The approver's key, where the policy asks for one or the person named one.
    fn unlocked(&self, signing: Option<&Signing>) -> Result<Option<ApproverKey>, DecideError> {
        let Some(signing) = signing else {
            return if self.signs() {
                Err(DecideError::NoKey)
            } else {
                Ok(None)
            };
        };
        let sealed = sealed_keys(&self.registry().keys_dir())?;
        let named = |id: Option<Digest>| id == Some(signing.key);
        let sealed = sealed
            .into_iter()
            .map(|(_, key)| key)
            .find(|key| named(key.public().map(|p| p.id())))
            .ok_or(DecideError::NoKey)?;
        let _one = UNLOCKING.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(Some(sealed.unlock(&signing.passphrase)?))
    }
}
