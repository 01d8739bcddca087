//! Promise: `export` and `import` move a configuration between real SQLite databases whole or not at all,
//! leave history and everything local as it was, and disturb nobody.

mod awkward;
mod digest;
mod export;
mod interrupted;
mod live;
mod local;
mod private;
mod program;
mod quiet;
mod refusals;
mod schema;
mod unusable;
mod uploads;
mod whole;
