//! The names of the snapshots in the repository, without restic: which are there, not what is in them.
//!
//! Nothing is decided from names except that the repository has the same snapshots as before. So whatever is not
//! understood here, or not done as restic would do it, is no failure: it is left to restic.
//!
//! | file | what it is for |
//! |---|---|
//! | `source` | which repositories can be asked, and the time limit |
//! | `folder`, `s3`, `rest` | one kind of repository each |
//! | `signature` | the signature of a request to S3 |
//! | `http` | one request |

mod folder;
mod http;
mod rest;
mod s3;
mod signature;
mod source;

pub(super) use source::Source;
