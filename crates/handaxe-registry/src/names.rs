//! One name, one tool: a name that a reader takes for another's is refused at every door.

use handaxe_types::{Confusion, ToolName};
use rusqlite::Transaction;

use crate::error::{ProposeError, RegistryError, Step as _};
use crate::registry::{Registry, unknown};

impl Registry {
    /// The names of registered tools that were not taken out of use, in order.
    pub fn names(&self) -> Result<Vec<ToolName>, RegistryError> {
        self.read(|tx| {
            select(
                tx,
                "SELECT DISTINCT name FROM tool_version
                 WHERE state NOT IN ('pending', 'retired', 'revoked') ORDER BY name",
            )
        })
    }
}

fn select(tx: &Transaction<'_>, sql: &str) -> Result<Vec<ToolName>, RegistryError> {
    let names: Vec<String> = tx
        .prepare_cached(sql)
        .and_then(|mut s| s.query_map([], |r| r.get(0))?.collect())
        .step("read the tools' names")?;
    names
        .iter()
        .map(|name| ToolName::new(name).map_err(|_| unknown("tool name", name)))
        .collect()
}

/// The name that a reader would take `name` for, of those in `taken`.
pub fn confusable<'a>(name: &ToolName, taken: &'a [ToolName]) -> Option<(&'a ToolName, Confusion)> {
    taken
        .iter()
        .find_map(|other| Some((other, name.confusion(other)?)))
}

/// A name that is taken already is no new name: it gets a new version.
pub(crate) fn check(tx: &Transaction<'_>, name: &ToolName) -> Result<(), ProposeError> {
    // Those that wait for a person count too: two of them would be approved as two tools.
    let taken = select(
        tx,
        "SELECT DISTINCT name FROM tool_version WHERE state NOT IN ('retired', 'revoked')",
    )?;
    if taken.contains(name) {
        return Ok(());
    }
    match confusable(name, &taken) {
        None => Ok(()),
        Some((other, how)) => Err(ProposeError::Confusable {
            name: name.clone(),
            other: other.clone(),
            how,
        }),
    }
}
