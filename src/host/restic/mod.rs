//! The repository, through the restic program.

pub mod answer;
mod cache;
mod credentials;
mod failure;
mod locks;
mod messages;
mod process;
mod repository;

pub use repository::Restic;
