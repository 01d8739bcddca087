//! What restic means when it fails.

mod advice;
mod classify;
#[cfg(test)]
mod tests;

pub(super) use advice::advice;
pub(super) use classify::{
    classify, hopeless, is_gone, is_interrupted, left_lock, left_out, not_removed, unsaved_token,
};
