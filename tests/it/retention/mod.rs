//! Promise: a main forgets old snapshots and prunes the repository, at its time and at no other. No host decides otherwise
//! for what is gone, and nothing goes that is another's.

mod cycles;
mod rules;
