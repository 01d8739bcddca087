//! What this program keeps on this host.

use crate::config::{Alerts, Role, Settings};
use crate::cycle::Store;
use crate::error::Result;
use crate::model::state::State;

use super::System;

impl Store for System {
    fn save(&mut self, state: &State) -> Result<()> {
        self.store.save(state)
    }

    fn keep_previous(&mut self, dump: &[u8]) -> Result<()> {
        self.store.keep_previous(dump)
    }

    fn previous(&mut self) -> Result<Option<Vec<u8>>> {
        self.store.previous()
    }

    fn keep_applied(&mut self, dump: &[u8]) -> Result<()> {
        self.store.keep_applied(dump)
    }

    fn applied(&mut self) -> Result<Option<Vec<u8>>> {
        self.store.applied()
    }

    fn keep_inherited(&mut self, settings: &[u8]) -> Result<()> {
        self.store.keep_inherited(settings)
    }

    fn inherited(&mut self) -> Result<Option<Vec<u8>>> {
        self.store.inherited()
    }

    fn set_role(&mut self, role: Role) -> Result<()> {
        self.configure(&["role"], &role.to_string()).map(drop)
    }

    fn set_alerts(&mut self, alerts: Alerts) -> Result<Settings> {
        self.configure(&["replica", "alerts"], &alerts.to_string())
    }
}
