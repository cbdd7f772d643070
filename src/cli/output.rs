//! Standard output, where the reader may go away at any time: `lockstorm rules | head`.

use std::fmt;
use std::io::{self, BufWriter, Stdout, Write};

use serde::Serialize;

use super::failure::{Failure, reason};

/// Standard output. When its reader is gone, what is left is dropped in silence, so that the exit status
/// still tells the truth.
#[derive(Debug)]
pub(super) struct Output {
    out: BufWriter<Stdout>,
    error: Option<io::Error>,
}

impl Output {
    pub(super) fn new() -> Output {
        Output { out: BufWriter::new(io::stdout()), error: None }
    }

    /// Writes a line.
    pub(super) fn line(&mut self, line: impl fmt::Display) {
        self.attempt(|out| writeln!(out, "{line}"));
    }

    /// Writes text as it is.
    pub(super) fn text(&mut self, text: &str) {
        self.attempt(|out| out.write_all(text.as_bytes()));
    }

    /// Writes a value as JSON on a line of its own.
    pub(super) fn json(&mut self, value: &impl Serialize) {
        self.attempt(|out| {
            serde_json::to_writer(&mut *out, value)?;
            writeln!(out)
        });
    }

    /// Lets the reader see what was written so far.
    pub(super) fn flush(&mut self) {
        self.attempt(Write::flush);
    }

    /// Whether nothing that is written arrives any more.
    pub(super) fn is_gone(&self) -> bool {
        self.error.is_some()
    }

    fn attempt(&mut self, write: impl FnOnce(&mut BufWriter<Stdout>) -> io::Result<()>) {
        if self.error.is_none() {
            self.error = write(&mut self.out).err();
        }
    }

    /// Writes what is left.
    ///
    /// # Errors
    ///
    /// Something was lost for another reason than that the reader went away.
    pub(super) fn finish(mut self) -> Result<(), Failure> {
        self.flush();
        match self.error {
            Some(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                Err(Failure::new(format!("cannot write to standard output: {}", reason(&error))))
            }
            _ => Ok(()),
        }
    }
}

/// Text from a file or a driver, without what would steer a terminal.
pub(super) fn visible(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{FFFD}' } else { c }).collect()
}

/// Writes a line to standard error; with that gone there is nobody to tell.
pub(super) fn say(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}
