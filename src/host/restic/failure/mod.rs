//! What restic means when it fails.

mod classify;
#[cfg(test)]
mod tests;

pub(super) use classify::{classify, hint, hopeless, is_gone, is_interrupted, is_of_lock_removal, left_out};
