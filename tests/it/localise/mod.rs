//! Promise: a replica gets the main's configuration with its own customization, and nothing else. What is wanted can be
//! written into a real database, and then nothing is left to do; excluded and kept rows are never written; no reference
//! dangles; and a user can log in.

mod examples;
mod known;
mod properties;
