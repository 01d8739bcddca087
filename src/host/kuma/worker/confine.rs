//! How the worker gives its rights up, before it opens anything.

use std::io;

use rustix::process::{Gid, Resource, Rlimit, Signal, Uid, setrlimit};
use rustix::thread::{
    CapabilitySet, CapabilitySets, clear_ambient_capability_set, set_capabilities, set_keep_capabilities,
    set_no_new_privs, set_thread_groups, set_thread_res_gid, set_thread_res_uid,
};

use crate::host::system::users::Identity;

/// How much memory the worker may map, in bytes: several times what the largest configuration takes.
const MAX_MEMORY: u64 = 2 << 30;

/// Becomes `identity` for good, and gives up all capabilities, except one that it may need to reach its files, and the
/// right to gain any. This process then ends with the one that started it. To be called while it has one thread: on Linux,
/// users are those of a thread.
///
/// # Errors
/// If a right cannot be given up; the process must then end.
pub fn confine(identity: Option<&Identity>) -> io::Result<()> {
    let search = identity.is_some_and(|identity| identity.search);
    if let Some(Identity { uid, gid, groups, .. }) = identity {
        let (uid, gid) = (Uid::from_raw(*uid), Gid::from_raw(*gid));
        let groups: Vec<Gid> = groups.iter().copied().map(Gid::from_raw).collect();
        set_thread_groups(&groups)?;
        set_thread_res_gid(gid, gid, gid)?;
        set_keep_capabilities(search)?;
        set_thread_res_uid(uid, uid, uid)?;
    }
    set_no_new_privs(true)?;
    clear_ambient_capability_set()?;
    let none = CapabilitySet::empty();
    let left = if search { CapabilitySet::DAC_READ_SEARCH } else { none };
    set_capabilities(None, CapabilitySets { effective: left, permitted: left, inheritable: none })?;
    // After the change of user, which would clear it. Other processes of that user cannot trace this one.
    rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)?;
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    let at_most = |limit: u64| Rlimit { current: Some(limit), maximum: Some(limit) };
    setrlimit(Resource::As, at_most(MAX_MEMORY))?;
    setrlimit(Resource::Core, at_most(0))?;
    Ok(())
}
