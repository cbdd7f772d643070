//! Files that claim to be scenarios.

use std::fmt;

use super::{
    DECISION_BYTES, FILE_BYTES_MAX, HEADER_BYTES, STEP_BYTES, VERSION, VERSION_POLICY, decode,
    header_bytes,
};
use crate::scenario::{DECISIONS_MAX, STEPS_MAX, Scenario};

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
        /// How long that part is.
        header: usize,
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
                write!(f, "byte 0: format version {found}, expected {VERSION} or {VERSION_POLICY}")
            }
            FormatError::TooLong { bytes } => {
                write!(f, "{bytes} bytes, a scenario has at most {FILE_BYTES_MAX}")
            }
            FormatError::TruncatedHeader { bytes, header } => {
                write!(
                    f,
                    "byte {bytes}: the file ends inside the setup, which takes {header} bytes"
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
    let header = match bytes.first() {
        None => return Err(FormatError::Empty),
        Some(&version @ (VERSION | VERSION_POLICY)) => header_bytes(version),
        Some(&found) => return Err(FormatError::Version { found }),
    };
    if length < header {
        return Err(FormatError::TruncatedHeader { bytes: length, header });
    }
    let of = usize::from(bytes[header - 1]) % (STEPS_MAX + 1);
    let rest = length - header;
    if rest < of * STEP_BYTES {
        return Err(FormatError::TruncatedStep { step: rest / STEP_BYTES + 1, of, bytes: length });
    }
    let decisions = rest - of * STEP_BYTES;
    if decisions < DECISIONS_MAX * DECISION_BYTES && !decisions.is_multiple_of(DECISION_BYTES) {
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
