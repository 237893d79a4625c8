//! Who asks: a program with the bearer token, or a person with a session. A program reads, calls
//! tools and begins runs; only a person decides approvals or sees what an author may not.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, header};
use handaxe_types::Digest;

use super::Api;
use super::problem::Problem;
use crate::service::actor;
use crate::web::{CSRF_HEADER, Visitor};

#[derive(Clone, Debug)]
pub(super) enum Caller {
    /// As the journal will name it.
    Program(String),
    Person(Visitor),
}

impl Caller {
    /// Who the journal will name.
    pub(super) fn actor(&self) -> &str {
        match self {
            Self::Program(actor) => actor,
            Self::Person(visitor) => &visitor.person,
        }
    }

    /// Whether this may see what the author of a tool may not: cases that are held out.
    pub(super) fn is_person(&self) -> bool {
        matches!(self, Self::Person(_))
    }
}

impl FromRequestParts<Arc<Api>> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Self, Problem> {
        let headers = &parts.headers;
        // What is shown there is what counts, right or wrong: a session is no second chance.
        if headers.contains_key(header::AUTHORIZATION) {
            let token = bearer(headers).unwrap_or_default();
            // Digests are compared, so that the time taken says nothing of how much was right.
            if Digest::of(token.as_bytes()) == api.token {
                return Ok(Self::Program(program(headers)));
            }
            return Err(unauthenticated());
        }
        let visitor = Visitor::of(&api.web, headers).ok_or_else(unauthenticated)?;
        let reads = matches!(parts.method, Method::GET | Method::HEAD);
        let shown = headers.get(CSRF_HEADER).and_then(|v| v.to_str().ok());
        if !reads && !visitor.shows(shown) {
            return Err(Problem::new(
                "cross_site",
                "a session's request that changes something shows the session's token",
            )
            .hint("send x-csrf-token as the pages do"));
        }
        Ok(Self::Person(visitor))
    }
}

/// A person; a program is told that it can never be one.
pub(super) struct Person(pub(super) Visitor);

impl FromRequestParts<Arc<Api>> for Person {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Self, Problem> {
        match Caller::from_request_parts(parts, api).await? {
            Caller::Person(visitor) => Ok(Self(visitor)),
            Caller::Program(_) => Err(Problem::new(
                "person_needed",
                "a bearer token decides nothing",
            )
            .hint("a person signs in with the link of `handaxe serve login`, or uses `handaxe approvals`")),
        }
    }
}

pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let given = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = given.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// What a program calls itself, up to its version.
fn program(headers: &HeaderMap) -> String {
    let agent = headers
        .get(header::USER_AGENT)
        .and_then(|v| v.to_str().ok())
        .and_then(|v| v.split(['/', ' ']).next());
    actor("api", agent)
}

fn unauthenticated() -> Problem {
    Problem::new("unauthenticated", "show the server's token, or sign in")
        .hint("Authorization: Bearer …, the token that `handaxe serve` prints")
}
