//! Whoever reads what is printed: a follower ends when that one leaves, not only when it has something to print next.

use std::io;

use rustix::event::{PollFd, PollFlags, poll};
use tokio::sync::oneshot;

/// Resolves when nobody reads standard output any more. A file and a terminal are always read.
pub(crate) async fn has_left() {
    let (left, told) = oneshot::channel();
    // A thread that nothing waits for: it ends with the program.
    let watch = std::thread::Builder::new()
        .name("reader".to_owned())
        .spawn(move || {
            let out = io::stdout();
            // Nothing is asked for: what comes is that the other end is closed.
            let mut fds = [PollFd::new(&out, PollFlags::empty())];
            loop {
                match poll(&mut fds, None) {
                    Err(rustix::io::Errno::INTR) => {}
                    Ok(_) => break,
                    Err(_) => return,
                }
            }
            // The command has ended meanwhile.
            let _ = left.send(());
        });
    if watch.is_err() || told.await.is_err() {
        // It cannot be watched; the next write tells.
        std::future::pending::<()>().await;
    }
}
