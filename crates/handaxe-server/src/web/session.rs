//! Who is signed in, in memory: a restart signs everyone out, and nothing on disk opens a door.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use handaxe_types::Digest;

use crate::login::random_token;

/// A session ends so long after it began, used or not, and so long after it was last used.
pub(crate) const LIFE: Duration = Duration::from_hours(12);
const IDLE: Duration = Duration::from_hours(2);
/// Sessions at once; the one unused for longest makes room.
const MOST: usize = 64;

/// A person who is signed in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Visitor {
    /// As approvals and the journal will name them.
    pub(crate) person: String,
    /// What every form and every request that changes something must show.
    pub(crate) csrf: String,
    key: Digest,
}

struct Session {
    visitor: Visitor,
    begun: Instant,
    seen: Instant,
}

impl Session {
    fn alive(&self, now: Instant) -> bool {
        now.duration_since(self.begun) < LIFE && now.duration_since(self.seen) < IDLE
    }
}

#[derive(Default)]
pub(crate) struct Sessions {
    of: Mutex<HashMap<Digest, Session>>,
}

impl Sessions {
    /// Signs a person in; what the cookie holds.
    pub(crate) fn begin(&self, person: String) -> Result<String, getrandom::Error> {
        let (token, csrf) = (random_token()?, random_token()?);
        let key = Digest::of(token.as_bytes());
        let visitor = Visitor { person, csrf, key };
        let now = Instant::now();
        let mut of = self.of.lock().unwrap_or_else(PoisonError::into_inner);
        of.retain(|_, s| s.alive(now));
        if of.len() >= MOST
            && let Some(oldest) = of.iter().min_by_key(|(_, s)| s.seen).map(|(k, _)| *k)
        {
            of.remove(&oldest);
        }
        of.insert(
            key,
            Session {
                visitor,
                begun: now,
                seen: now,
            },
        );
        Ok(token)
    }

    /// Looked up by digest, so that the time taken says nothing of how much was right.
    pub(crate) fn find(&self, token: &str) -> Option<Visitor> {
        let now = Instant::now();
        let mut of = self.of.lock().unwrap_or_else(PoisonError::into_inner);
        let session = of.get_mut(&Digest::of(token.as_bytes()))?;
        if !session.alive(now) {
            return None;
        }
        session.seen = now;
        Some(session.visitor.clone())
    }

    pub(crate) fn end(&self, visitor: &Visitor) {
        let mut of = self.of.lock().unwrap_or_else(PoisonError::into_inner);
        of.remove(&visitor.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_end_and_are_bounded() {
        let sessions = Sessions::default();
        let token = sessions.begin("alice".into()).unwrap();
        let visitor = sessions.find(&token).unwrap();
        assert_eq!(visitor.person, "alice");
        assert_ne!(visitor.csrf, token);
        assert!(sessions.find(&visitor.csrf).is_none());
        let long_ago = |ago| Instant::now().checked_sub(ago);
        for (begun, seen) in [(long_ago(LIFE), None), (None, long_ago(IDLE))] {
            let mut of = sessions.of.lock().unwrap();
            let session = of.get_mut(&visitor.key).unwrap();
            let now = Instant::now();
            // A machine that has just started has no such past.
            if begun.is_some() || seen.is_some() {
                (session.begun, session.seen) = (begun.unwrap_or(now), seen.unwrap_or(now));
                drop(of);
                assert!(sessions.find(&token).is_none());
            }
        }
        for n in 0..2 * MOST {
            sessions.begin(format!("person {n}")).unwrap();
        }
        assert_eq!(sessions.of.lock().unwrap().len(), MOST);
        let token = sessions.begin("bob".into()).unwrap();
        sessions.end(&sessions.find(&token).unwrap());
        assert!(sessions.find(&token).is_none());
    }
}
