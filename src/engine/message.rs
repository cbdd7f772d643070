//! What a worker tells its parent: one JSON object a line, on its standard output.

use std::io::{self, Write};

use serde::{Deserialize, Serialize};

use crate::rules::{Finding, Severity};

/// One line from a worker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Message {
    /// How far it is.
    Statistics(Statistics),
    /// A run broke a rule in a way that is new, or shorter than before.
    Found(Found),
    /// A caged worker's input reached something new.
    Reached {
        /// The input.
        #[serde(with = "hex_bytes")]
        input: Vec<u8>,
    },
    /// A run could not go on: the driver calls a routine that nobody has modelled.
    Unmodelled {
        /// Its name.
        routine: String,
    },
    /// It cannot start, and another in its place could not either.
    CannotStart {
        /// Why: one line for the user.
        why: String,
    },
    /// Its work is done; it ends now.
    Done,
}

/// What a worker has done since it started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Statistics {
    /// Inputs run.
    pub runs: u64,
    /// Events of those runs.
    pub events: u64,
    /// Virtual time of those runs, in nanoseconds.
    pub virtual_ns: u64,
}

/// A finding with an input that shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    /// What tells it from other findings.
    #[serde(with = "hex_id")]
    pub id: u64,
    /// The rule's id.
    pub rule: String,
    /// Whether it is only a warning.
    pub warning: bool,
    /// The line that tells it; its shape never changes.
    pub line: String,
    /// The input.
    #[serde(with = "hex_bytes")]
    pub input: Vec<u8>,
    /// Inputs that the worker had run, this one included; 0 if nobody counted.
    #[serde(default)]
    pub runs: u64,
}

impl Found {
    /// A finding of a run, shown by `input`.
    #[must_use]
    pub fn new(finding: &Finding, input: Vec<u8>) -> Found {
        Found {
            id: finding.id(),
            rule: finding.rule.rule().id.to_owned(),
            warning: finding.severity == Severity::Warning,
            line: finding.to_string(),
            input,
            runs: 0,
        }
    }
}

/// Writes one message as one line, at once.
///
/// # Errors
///
/// The parent is gone.
pub fn send(out: &mut impl Write, message: &Message) -> io::Result<()> {
    let mut line = serde_json::to_string(message).map_err(io::Error::other)?;
    line.push('\n');
    out.write_all(line.as_bytes())?;
    out.flush()
}

/// Bytes as hexadecimal digits.
#[must_use]
pub fn to_hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The bytes of hexadecimal digits.
#[must_use]
pub fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> =
        text.chars().map(|digit| digit.to_digit(16).and_then(|d| u8::try_from(d).ok())).collect();
    let pairs = digits?;
    pairs.len().is_multiple_of(2).then(|| pairs.chunks(2).map(|p| p[0] << 4 | p[1]).collect())
}

/// An id as 16 hexadecimal digits, as in the names of artifacts: JSON numbers do not hold 64 bits.
mod hex_id {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(id: &u64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{id:016x}"))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
        let text = String::deserialize(deserializer)?;
        u64::from_str_radix(&text, 16).map_err(D::Error::custom)
    }
}

mod hex_bytes {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&super::to_hex(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(deserializer)?;
        super::from_hex(&text).ok_or_else(|| D::Error::custom("not hexadecimal digits"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_survives_the_pipe_as_one_line() {
        let message = Message::Found(Found {
            id: 0x00AB_CDEF_0123_4567,
            rule: "lock.order".into(),
            warning: false,
            line: "a \"quoted\"\nline".into(),
            input: vec![0, 1, 0xFF],
            runs: 7,
        });
        let mut pipe = Vec::new();
        send(&mut pipe, &message).unwrap();
        let text = String::from_utf8(pipe).unwrap();
        assert_eq!(text.matches('\n').count(), 1);
        assert!(text.contains("\"00abcdef01234567\"") && text.contains("\"0001ff\""));
        assert_eq!(serde_json::from_str::<Message>(&text).unwrap(), message);
    }

    #[test]
    fn hex_takes_only_hex() {
        assert_eq!(from_hex("0aFF"), Some(vec![0x0A, 0xFF]));
        assert_eq!(from_hex("0a1"), None);
        assert_eq!(from_hex("0g"), None);
        assert_eq!(from_hex("+1"), None);
        assert_eq!(from_hex(""), Some(vec![]));
    }
}
