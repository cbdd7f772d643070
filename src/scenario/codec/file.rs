//! Files that claim to be scenarios.

use std::fmt;

use super::{
    DECISION_BYTES, FILE_BYTES_MAX, HEADER_BYTES, SCENARIO_BYTES_MAX, STEP_BYTES, VERSION, decode,
};
use crate::scenario::{STEPS_MAX, Scenario};

/// Why a file is no scenario.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FormatError {
    /// It has no bytes.
    Empty,
    /// It was written by another version, or is no scenario at all.
    Version {
        /// Its first byte.
        found: u8,
    },
    /// It is longer than [`FILE_BYTES_MAX`].
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// It ends inside the part before the first step.
    TruncatedHeader {
        /// Its length.
        bytes: usize,
    },
    /// It ends inside or before a step that it announces.
    TruncatedStep {
        /// Which, counted from 1.
        step: usize,
        /// How many it announces.
        of: usize,
        /// Its length.
        bytes: usize,
    },
    /// It ends inside a decision.
    TruncatedDecision {
        /// Its length.
        bytes: usize,
    },
}

impl fmt::Display for FormatError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            FormatError::Empty => {
                write!(f, "empty file, expected a scenario of at least {HEADER_BYTES} bytes")
            }
            FormatError::Version { found } => {
                write!(f, "byte 0: format version {found}, expected {VERSION}")
            }
            FormatError::TooLong { bytes } => {
                write!(f, "{bytes} bytes, a scenario has at most {FILE_BYTES_MAX}")
            }
            FormatError::TruncatedHeader { bytes } => {
                write!(
                    f,
                    "byte {bytes}: the file ends inside the setup, which takes {HEADER_BYTES} bytes"
                )
            }
            FormatError::TruncatedStep { step, of, bytes } => {
                write!(f, "byte {bytes}: the file ends in step {step} of {of}")
            }
            FormatError::TruncatedDecision { bytes } => {
                write!(f, "byte {bytes}: the file ends inside a decision")
            }
        }
    }
}

impl std::error::Error for FormatError {}

/// Reads a file that claims to be a scenario. Unlike [`decode`], which takes whatever an engine makes, this
/// tells a file of another kind, or a part of one, from a scenario.
///
/// # Errors
///
/// What is wrong, and at which byte.
pub fn read(bytes: &[u8]) -> Result<Scenario, FormatError> {
    let length = bytes.len();
    if length > FILE_BYTES_MAX {
        return Err(FormatError::TooLong { bytes: length });
    }
    match bytes.first() {
        None => return Err(FormatError::Empty),
        Some(&VERSION) => {}
        Some(&found) => return Err(FormatError::Version { found }),
    }
    if length < HEADER_BYTES {
        return Err(FormatError::TruncatedHeader { bytes: length });
    }
    let of = usize::from(bytes[HEADER_BYTES - 1]) % (STEPS_MAX + 1);
    let rest = length - HEADER_BYTES;
    if rest < of * STEP_BYTES {
        return Err(FormatError::TruncatedStep { step: rest / STEP_BYTES + 1, of, bytes: length });
    }
    if length < SCENARIO_BYTES_MAX && !(rest - of * STEP_BYTES).is_multiple_of(DECISION_BYTES) {
        return Err(FormatError::TruncatedDecision { bytes: length });
    }
    Ok(decode(bytes))
}

/// Whether a file is a scenario's text rather than its bytes.
#[must_use]
pub fn looks_like_text(bytes: &[u8]) -> bool {
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes).trim_ascii_start();
    [&b"("[..], b"//", b"/*", b"#!"].iter().any(|start| bytes.starts_with(start))
}
