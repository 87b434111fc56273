//! Tasks and time of whatever this runs on: tokio's, or those of a page in a browser.

pub(crate) use n0_future::task::{JoinHandle, spawn};
pub(crate) use n0_future::time::{Instant, SystemTime, sleep_until, timeout};

/// Lets others run, and goes on after them.
pub(crate) async fn yield_now() {
    #[cfg(not(target_family = "wasm"))]
    tokio::task::yield_now().await;
    #[cfg(target_family = "wasm")]
    n0_future::time::sleep(std::time::Duration::ZERO).await;
}
