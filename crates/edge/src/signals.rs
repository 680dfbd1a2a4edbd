//! Ctrl-C and termination: the first asks for a clean end, the second ends at once.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

/// Exit code of a process that a person ended by force.
const FORCED: i32 = 130;

/// Sets `stop` at the first signal and ends the process at the second.
pub(crate) async fn end_on_signal(stop: watch::Sender<bool>) {
    let Ok(mut terminate) = signal(SignalKind::terminate()) else { return };
    either(&mut terminate).await;
    stop.send_replace(true);
    either(&mut terminate).await;
    std::process::exit(FORCED);
}

async fn either(terminate: &mut Signal) {
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
}
