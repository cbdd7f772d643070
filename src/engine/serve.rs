//! Why a worker that answers its parent's requests, rather than fuzzing by itself, ends: those of `triage` and `mutants`.

use std::io;

use super::worker::CannotStart;
use crate::harness::OpenError;

/// Why a worker ends.
#[derive(Debug)]
pub enum CannotServe {
    /// The driver cannot be run.
    Driver(OpenError),
    /// A compiled driver cannot be locked up.
    Cage(CannotStart),
    /// The parent is gone.
    Parent(io::Error),
}

impl From<OpenError> for CannotServe {
    fn from(error: OpenError) -> Self {
        CannotServe::Driver(error)
    }
}

impl From<io::Error> for CannotServe {
    fn from(error: io::Error) -> Self {
        CannotServe::Parent(error)
    }
}
