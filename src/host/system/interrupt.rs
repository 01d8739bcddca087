//! Signals to stop: SIGTERM from the service manager, SIGINT from a terminal, SIGHUP when the terminal is closed.
//!
//! It only records the first signal and ends nothing: the code that waits for something decides where it is safe to
//! stop. A second signal changes nothing.

use std::thread;

use tokio::runtime;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::error::{Error, Kind, Result};

/// Whether this process received a signal to stop.
#[derive(Debug, Clone)]
pub struct Interrupt(Option<watch::Receiver<bool>>);

impl Interrupt {
    /// Handles SIGTERM, SIGINT and SIGHUP for the rest of this process.
    ///
    /// A separate thread listens, so that [`Interrupt::happened`] is up to date even in work that never awaits, such as a
    /// transaction.
    ///
    /// # Errors
    /// [`Kind::Bug`] if the handlers cannot be installed.
    pub fn install() -> Result<Self> {
        let failed = || Error::new(Kind::Bug, "cannot listen for SIGTERM, SIGINT and SIGHUP");
        let runtime =
            runtime::Builder::new_current_thread().enable_io().build().map_err(|error| failed().because(error))?;
        // The handlers are in place when this function returns, not only when the thread runs.
        let (mut terminate, mut interrupt, mut hang_up) = {
            let _inside = runtime.enter();
            let listen = |kind| signal(kind).map_err(|error| failed().because(error));
            (listen(SignalKind::terminate())?, listen(SignalKind::interrupt())?, listen(SignalKind::hangup())?)
        };
        let (sender, receiver) = watch::channel(false);
        let listener = move || {
            runtime.block_on(async {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                    _ = hang_up.recv() => {}
                }
                sender.send_replace(true);
                // Keeps the sender until the last receiver is dropped.
                sender.closed().await;
            });
        };
        thread::Builder::new().name("signals".to_owned()).spawn(listener).map_err(|error| failed().because(error))?;
        Ok(Self(Some(receiver)))
    }

    /// One that never happens, for callers that can be killed at any point.
    pub fn never() -> Self {
        Self(None)
    }

    /// Whether this process received a signal.
    pub fn happened(&self) -> bool {
        self.0.as_ref().is_some_and(|receiver| *receiver.borrow())
    }

    /// Waits until this process receives a signal; returns at once if it has received one.
    pub async fn wait(&self) {
        if let Some(mut receiver) = self.0.clone()
            && receiver.wait_for(|happened| *happened).await.is_ok()
        {
            return;
        }
        std::future::pending().await
    }
}
