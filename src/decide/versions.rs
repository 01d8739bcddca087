//! Whether rows may move between two versions of Uptime Kuma, and what is said if not.

use crate::config::SchemaPolicy;
use crate::error::{Error, Kind};
use crate::model::schema::{Relation, Schema};
use crate::model::snapshot::Snapshot;
use crate::model::state::{Decision, Verdict};

/// Why `snapshot` is still blocked, if nothing that blocked it has changed.
pub fn still_blocked<'a>(
    verdict: Option<&'a Verdict>,
    snapshot: &Snapshot,
    here: &Schema,
    policy: SchemaPolicy,
) -> Option<&'a str> {
    match verdict {
        Some(Verdict { snapshot: id, reason, decision: Decision::Blocked { schema, exact }, .. })
            if id.same(&snapshot.id) && *schema == here.fingerprint() && *exact == (policy == SchemaPolicy::Exact) =>
        {
            Some(reason)
        }
        _ => None,
    }
}

/// Why rows of the main's schema `main` must not be written into a database of schema `here`, if so: which side is
/// ahead, by what, and what to do.
pub fn schema_gate(here: &Schema, main: &Schema, policy: SchemaPolicy) -> Option<String> {
    let sides = || match (main.release(), here.release()) {
        (Some(main), Some(here)) if main != here => {
            format!("the main has the schema of {main}, this host that of {here}; ")
        }
        _ => String::new(),
    };
    let (missing, surplus) = (main.surplus_over(here), here.surplus_over(main));
    match here.relation_to(main) {
        Relation::Same => None,
        Relation::MainAhead => Some(format!(
            "the main runs a newer Uptime Kuma ({}this host lacks {missing}); upgrade Uptime Kuma on this replica",
            sides()
        )),
        Relation::ReplicaAhead { superset: true } if policy == SchemaPolicy::Superset => None,
        Relation::ReplicaAhead { superset } => {
            let lost = if superset || policy == SchemaPolicy::Exact {
                String::new()
            } else {
                format!(", and has {missing}, which this host lacks")
            };
            Some(format!(
                "this replica runs a newer Uptime Kuma ({}the main lacks {surplus}{lost}); upgrade Uptime Kuma on the main",
                sides()
            ))
        }
        Relation::Apart => Some(format!(
            "main and replica run different versions of Uptime Kuma ({}the main has {missing}, this host has {surplus}); \
             bring both to the same version",
            sides()
        )),
    }
}

/// An error of a rehearsal, with what to do if the schemas may be the reason: a column that only this host has, and
/// that takes no row without a value.
pub fn unwritable(error: Error, here: &Schema, main: &Schema) -> Error {
    if error.kind() != Kind::Unwritable || here == main {
        return error;
    }
    let surplus = here.surplus_over(main);
    error.with_hint(format!(
        "nothing was changed; upgrade Uptime Kuma on the main, which lacks {surplus}, or correct the named row there"
    ))
}
