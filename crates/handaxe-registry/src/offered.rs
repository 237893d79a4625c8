//! What the library offers to whoever keeps a door open: the newest active version of each name,
//! and a number that changes when that may have changed.

use std::collections::BTreeMap;

use handaxe_types::{EventKind, Spec, ToolDigest, ToolName, ToolRef};

use crate::error::{RegistryError, Step as _};
use crate::registry::Registry;
use crate::stored::VersionRow;

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
            tx.prepare_cached("SELECT coalesce(max(seq), 0) FROM event WHERE kind IN (?1, ?2)")
                .and_then(|mut s| {
                    s.query_row(
                        [
                            EventKind::ToolRegistered.as_str(),
                            EventKind::ToolStateChanged.as_str(),
                        ],
                        |r| r.get(0),
                    )
                })
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
