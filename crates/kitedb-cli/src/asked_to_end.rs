//! The signals that ask a command to end: SIGINT, SIGTERM and SIGHUP. Who started it so that it outlives a terminal (`nohup`) had
//! SIGHUP ignored before, and it stays so.

use crate::failure::{Failure, Outcome};

/// Calls `handler`, in a thread of its own, with each of them. Once in a process.
pub fn listen(handler: impl FnMut() + Send + 'static) -> Outcome {
    let outlives_its_terminal = hangup_is_ignored();
    ctrlc::set_handler(handler).map_err(|e| Failure::new(format_args!("cannot listen to signals: {e}")))?;
    if outlives_its_terminal {
        ignore_hangup();
    }
    Ok(())
}

#[allow(unsafe_code, reason = "there is no safe call that asks what is done with a signal")]
fn hangup_is_ignored() -> bool {
    let mut now = std::mem::MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: without a new action nothing is changed, and what there is is written to `now`, which is read only if it was.
    unsafe {
        libc::sigaction(libc::SIGHUP, std::ptr::null(), now.as_mut_ptr()) == 0
            && now.assume_init().sa_sigaction == libc::SIG_IGN
    }
}

#[allow(unsafe_code, reason = "there is no safe call that ignores a signal")]
fn ignore_hangup() {
    // SAFETY: `SIG_IGN` installs no handler, so that nothing runs in a signal's context.
    unsafe {
        libc::signal(libc::SIGHUP, libc::SIG_IGN);
    }
}
