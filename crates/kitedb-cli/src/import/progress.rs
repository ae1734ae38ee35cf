//! Progress on a terminal: how much of the input is read. Without a terminal nothing is shown.

use indicatif::{ProgressBar, ProgressStyle};
use std::io::{self, Read};

const BAR: &str = "{bar:20.cyan/dim} {bytes:>10} of {total_bytes}  {msg}  {eta} left";
const SPINNER: &str = "{spinner:.cyan} {bytes:>10} read  {msg}";

/// A bar (within the 80 columns of a small terminal) for input of a known length, a counter for one without.
pub fn bar(length: Option<u64>) -> ProgressBar {
    let (bar, style) = match length {
        Some(length) => (ProgressBar::new(length), ProgressStyle::with_template(BAR)),
        None => (ProgressBar::no_length(), ProgressStyle::with_template(SPINNER)),
    };
    match style {
        Ok(style) => bar.with_style(style.progress_chars("━╸─")),
        Err(_) => bar,
    }
}

/// A reader that moves a bar on.
pub struct Metered<R> {
    inner: R,
    bar: ProgressBar,
}

impl<R> Metered<R> {
    pub fn new(inner: R, bar: ProgressBar) -> Self {
        Self { inner, bar }
    }
}

impl<R: Read> Read for Metered<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.bar.inc(read as u64);
        Ok(read)
    }
}
