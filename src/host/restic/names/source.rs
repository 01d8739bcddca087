//! Which repositories can be asked for names.

use std::thread;
use std::time::Duration;

use tokio::sync::oneshot;

use super::folder::Folder;
use super::rest::Rest;
use super::s3::S3;
use crate::config::Location;
use crate::model::looked::{LookCost, Names};

/// How long a listing may take. restic looks then.
const TIMEOUT: Duration = Duration::from_secs(10);

/// A repository that can be asked.
#[derive(Clone)]
pub(in crate::host::restic) struct Source(Kind);

#[derive(Clone)]
enum Kind {
    Folder(Folder),
    S3(S3),
    Rest(Rest),
}

impl Source {
    /// The source of the names in `repository` for a restic with these options and variables. `None` if that is left to
    /// restic.
    pub(in crate::host::restic) fn find<'a>(
        repository: &Location,
        options: &[String],
        variable: impl Fn(&str) -> Option<&'a str>,
    ) -> Option<Self> {
        let address = repository.secret();
        let kind = if repository.folder().is_some() { "local" } else { address.split(':').next()? };
        let options = options.iter().filter_map(|option| option.strip_prefix(kind)?.strip_prefix('.')?.split_once('='));
        let (lookup, others): (Vec<_>, Vec<_>) =
            options.partition(|(name, _)| (kind, *name) == ("s3", "bucket-lookup"));
        // Of all others only these leave it open where restic finds what, and as whom.
        if others.iter().any(|(name, _)| !matches!(*name, "connections" | "retries" | "storage-class")) {
            return None;
        }
        if let Some(folder) = repository.folder() {
            Some(Self(Kind::Folder(Folder::new(folder))))
        } else if let Some(address) = address.strip_prefix("s3:") {
            S3::find(address, lookup.first().map(|(_, lookup)| *lookup), variable).map(Kind::S3).map(Self)
        } else if let Some(address) = address.strip_prefix("rest:") {
            Rest::find(address, variable).map(Kind::Rest).map(Self)
        } else {
            None
        }
    }

    /// What it costs to ask it.
    pub(in crate::host::restic) fn cost(&self) -> LookCost {
        match self.0 {
            Kind::Folder(_) | Kind::Rest(_) => LookCost::Little,
            Kind::S3(_) => LookCost::Request,
        }
    }

    /// The names, unless they cannot be had in time.
    pub(in crate::host::restic) async fn names(&self) -> Option<Names> {
        let (sender, receiver) = oneshot::channel();
        let source = self.clone();
        // Not a task, which the runtime would wait for at its end: a file system or a resolver may hang for long.
        let list = move || sender.send(source.list());
        thread::Builder::new().name("names".to_owned()).spawn(list).ok()?;
        tokio::time::timeout(TIMEOUT, receiver).await.ok()?.ok()?
    }

    fn list(&self) -> Option<Names> {
        match &self.0 {
            Kind::Folder(folder) => folder.list(),
            Kind::S3(s3) => s3.list(TIMEOUT),
            Kind::Rest(rest) => rest.list(TIMEOUT),
        }
    }
}
