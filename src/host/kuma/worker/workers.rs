//! The workers that this process has running: one for each user whose files it needs.

use std::path::Path;

use super::client::{Worker, refused};
use super::serve;
use crate::error::{Error, Kind, Result};
use crate::host::system::owner;
use crate::host::system::users::Identity;

/// The running workers. One is started when it is needed, and ends when this is dropped.
#[derive(Debug, Default)]
pub struct Workers(Vec<(Option<Identity>, Worker)>);

impl Workers {
    /// The worker that means the database at `path`, as the user that the database belongs to.
    ///
    /// # Errors
    /// As for [`owner::opener`], [`Worker::start`] and [`Worker::open`].
    pub async fn open(&mut self, path: &Path) -> Result<&mut Worker> {
        let worker = self.of(owner::opener(path)?).await.map_err(|error| refused(path, error))?;
        if worker.database() != path {
            worker.open(path).await?;
        }
        Ok(worker)
    }

    /// Whether a running worker means the database at `path`.
    pub fn has_open(&self, path: &Path) -> bool {
        self.0.iter().any(|(_, worker)| worker.database() == path)
    }

    /// The texts of the files that match `pattern`, read as the user that their directory belongs to.
    ///
    /// # Errors
    /// [`Kind::NotPermitted`] for a file that cannot be read; as for [`Workers::open`].
    pub async fn read_all(&mut self, pattern: &Path) -> Result<Vec<String>> {
        match owner::opener(pattern)? {
            None => serve::read(pattern),
            identity => {
                let worker = self.of(identity).await.map_err(|error| refused(pattern, error))?;
                worker.read(pattern).await
            }
        }
    }

    /// The text of the file at `path`, as [`Workers::read_all`] reads it; `None` if there is none.
    ///
    /// # Errors
    /// As for [`Workers::read_all`].
    pub async fn read(&mut self, path: &Path) -> Result<Option<String>> {
        let escaped = glob::Pattern::escape(&path.to_string_lossy());
        Ok(self.read_all(Path::new(&escaped)).await?.pop())
    }

    /// A worker of this user.
    ///
    /// # Errors
    /// As for [`Worker::start`].
    pub async fn of(&mut self, identity: Option<Identity>) -> Result<&mut Worker> {
        let at = match self.0.iter().position(|(user, worker)| *user == identity && worker.is_usable()) {
            Some(at) => at,
            None => {
                let worker = Worker::start(identity.as_ref()).await?;
                self.0.push((identity, worker));
                self.0.len() - 1
            }
        };
        let worker = self.0.get_mut(at).map(|(_, worker)| worker);
        worker.ok_or_else(|| Error::new(Kind::Bug, "the worker was started and is missing"))
    }
}
