//! Being told to stop: SIGTERM from the service manager, SIGINT from a terminal, SIGHUP when it goes away.
//!
//! It only says so. Nothing is ended from here: whoever waits for something decides where it is safe to
//! leave. A second signal changes nothing.

use std::thread;

use tokio::runtime;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::error::{Error, Kind, Result};

/// Whether this process was told to stop.
#[derive(Debug, Clone)]
pub struct Interrupt(Option<watch::Receiver<bool>>);

impl Interrupt {
    /// Takes SIGTERM, SIGINT and SIGHUP over for the rest of this process.
    ///
    /// A thread of its own listens, so that [`Interrupt::happened`] is right in the middle of work that
    /// never awaits, such as a transaction.
    ///
    /// # Errors
    /// [`Kind::Bug`] if the signals cannot be taken over.
    pub fn install() -> Result<Self> {
        let failed = || Error::new(Kind::Bug, "cannot listen for SIGTERM, SIGINT and SIGHUP");
        let runtime =
            runtime::Builder::new_current_thread().enable_io().build().map_err(|error| failed().because(error))?;
        // The handlers are in place when this function returns, not when the thread gets its turn.
        let (mut terminate, mut interrupt, mut hang_up) = {
            let _inside = runtime.enter();
            let listen = |kind| signal(kind).map_err(|error| failed().because(error));
            (listen(SignalKind::terminate())?, listen(SignalKind::interrupt())?, listen(SignalKind::hangup())?)
        };
        let (tell, told) = watch::channel(false);
        let listener = move || {
            runtime.block_on(async {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                    _ = hang_up.recv() => {}
                }
                tell.send_replace(true);
                // The flag stays readable for as long as anybody holds a receiver.
                tell.closed().await;
            });
        };
        thread::Builder::new().name("signals".to_owned()).spawn(listener).map_err(|error| failed().because(error))?;
        Ok(Self(Some(told)))
    }

    /// One that never happens, for callers that may be ended anywhere.
    pub fn never() -> Self {
        Self(None)
    }

    /// Whether this process was told to stop.
    pub fn happened(&self) -> bool {
        self.0.as_ref().is_some_and(|told| *told.borrow())
    }

    /// Waits until this process is told to stop; returns at once if it was already.
    pub async fn wait(&self) {
        if let Some(mut told) = self.0.clone()
            && told.wait_for(|told| *told).await.is_ok()
        {
            return;
        }
        std::future::pending().await
    }
}
