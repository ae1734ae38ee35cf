//! The limit on the length of files (`ulimit -f`). By default a write beyond it kills the process with `SIGXFSZ`, which tells
//! nobody what was wrong. Ignored, the signal leaves an error of the write, `DISK_FULL`. The engine leaves that to the
//! application, whose signals are its own; here the application is this command.

/// From here on a write beyond the limit is an error.
#[allow(unsafe_code, reason = "there is no safe call that ignores a signal")]
pub fn is_an_error() {
    // SAFETY: `SIG_IGN` installs no handler, so that nothing runs in a signal's context; no other thread is there yet.
    unsafe {
        libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
    }
}
