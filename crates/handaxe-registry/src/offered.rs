//! What the library offers to whoever keeps a door open: the newest active version of each name,
//! and a number that changes when that may have changed.

use std::collections::BTreeMap;

use handaxe_types::{Spec, ToolDigest, ToolName, ToolRef};

use crate::error::{RegistryError, Step as _};
use crate::registry::Registry;
use crate::stored::VersionRow;

/// Of the events that change which tools are active, the last. The words stand in it, because only
/// then is the index over those few events taken, and not the journal read whole: it has an event
/// for every call.
const LIBRARY_VERSION: &str = "SELECT coalesce(max(seq), 0) FROM event
    WHERE kind IN ('tool_registered', 'tool_state_changed')";

/// An active tool as a client sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct Offer {
    pub tool: ToolRef,
    pub spec: Spec,
    pub digest: ToolDigest,
}

impl Registry {
    /// The sequence number of the last event that changed which tools are active; 0 for none.
    /// Cheap enough to ask several times a second.
    pub fn library_version(&self) -> Result<i64, RegistryError> {
        self.read(|tx| {
            tx.prepare_cached(LIBRARY_VERSION)
                .and_then(|mut s| s.query_row([], |r| r.get(0)))
                .step("read the library's version")
        })
    }

    /// The newest active version of every name, by name.
    pub fn offers(&self) -> Result<Vec<Offer>, RegistryError> {
        self.read(|tx| {
            let rows = VersionRow::select(tx, "state = ?1 ORDER BY name, version", "active")?;
            let mut newest: BTreeMap<ToolName, Offer> = BTreeMap::new();
            for row in rows {
                let offer = Offer {
                    tool: row.tool_ref(),
                    spec: row.spec(tx)?,
                    digest: row.subject,
                };
                newest.insert(row.name, offer);
            }
            Ok(newest.into_values().collect())
        })
    }
}

#[cfg(test)]
mod tests {
    use handaxe_types::EventKind;

    use super::*;

    #[test]
    fn the_journal_is_not_read_to_know_whether_the_library_changed() {
        let home = tempfile::tempdir().unwrap();
        let registry = Registry::open(home.path()).unwrap();
        let plan: String = registry
            .read::<_, RegistryError>(|tx| {
                let sql = format!("EXPLAIN QUERY PLAN {LIBRARY_VERSION}");
                tx.query_row(&sql, [], |r| r.get(3)).step("explain")
            })
            .unwrap();
        assert!(plan.contains("USING INDEX event_library"), "{plan}");
        for kind in [EventKind::ToolRegistered, EventKind::ToolStateChanged] {
            assert!(LIBRARY_VERSION.contains(&format!("'{}'", kind.as_str())));
        }
    }
}
