//! What a terminal gets beyond plain text: colours, lines broken at its width, and a spinner that says what is waited for.
//! Text that goes into a pipe, a file or the journal has none of it.
//!
//! | file | what is in it |
//! |---|---|
//! | `shape` | colours and line breaks for finished, harmless text |
//! | `stream` | what standard output and standard error are, and writing to them |
//! | `waiting` | the spinner |

mod shape;
mod stream;
mod waiting;

pub use shape::{Look, Shape, Tone, columns};
pub use stream::{StandardError, write};
pub use waiting::{Waiting, wait};
