//! What restic means when it fails.

mod advice;
mod classify;
#[cfg(test)]
mod tests;

pub(super) use advice::advice;
pub(super) use classify::{classify, hopeless, is_gone, is_interrupted, is_of_lock_removal, left_out};
