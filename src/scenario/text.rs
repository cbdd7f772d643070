//! Scenarios as text, in RON (<https://github.com/ron-rs/ron>), for people to read and write.
//!
//! ```text
//! (
//!     version: 1,
//!     setup: (
//!         processors: 1,
//!     ),
//!     steps: [
//!         Script(routine: Dpc, op: Acquire, lock: Interrupt),
//!         Script(routine: Dpc, op: Acquire, lock: StartIo, slot: 1),
//!         Script(routine: StartIo, op: IssueDpc),
//!         Read(block: 2, blocks: 8),
//!     ],
//!     schedule: [
//!         (after: 3, choice: 1),
//!     ],
//! )
//! ```
//!
//! What has its default is left out, so that a text says what is special about its scenario. A name that is
//! none is an error with its line and column; a number out of its range is brought into it, as everywhere.

use std::fmt::{self, Write};

use ron::extensions::Extensions;
use ron::ser::PrettyConfig;
use serde::{Deserialize, Serialize};

use super::codec::{self, FormatError};
use super::{DECISIONS_MAX, Decision, Policy, STEPS_MAX, Scenario, Setup, Step};

/// Bytes of the longest text that is read: many times the longest that is written, to leave room for
/// comments.
pub const TEXT_BYTES_MAX: usize = 1 << 18;

/// Decisions on a line.
const DECISIONS_A_LINE: usize = 4;

/// The text as a whole.
#[derive(Deserialize)]
#[serde(rename = "Scenario", deny_unknown_fields)]
struct Document {
    #[serde(rename = "version")]
    _version: Version,
    #[serde(default)]
    setup: Setup,
    #[serde(default)]
    steps: Vec<Step>,
    #[serde(default)]
    schedule: Vec<Decision>,
    #[serde(default)]
    policy: Policy,
}

/// The versions that this lockstorm reads; a text of either may say all that there is.
#[derive(Deserialize)]
#[serde(try_from = "u32")]
struct Version;

impl TryFrom<u32> for Version {
    type Error = String;

    fn try_from(found: u32) -> Result<Self, String> {
        let known = [codec::VERSION, codec::VERSION_POLICY];
        if known.map(u32::from).contains(&found) {
            Ok(Version)
        } else {
            Err(format!("format version {found}, expected {} or {}", known[0], known[1]))
        }
    }
}

/// Why a text is no scenario.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TextError {
    /// It is longer than [`TEXT_BYTES_MAX`].
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// It is not UTF-8.
    NotText {
        /// The first byte that is not.
        at: usize,
    },
    /// It is not RON, or names something that a scenario does not have.
    Wrong {
        /// Where, counted from 1.
        line: usize,
        /// Where in the line, counted from 1.
        column: usize,
        /// What is wrong.
        message: String,
    },
    /// It has more steps or decisions than a scenario can have.
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many.
        count: usize,
        /// How many there can be.
        most: usize,
    },
}

impl fmt::Display for TextError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TextError::TooLong { bytes } => {
                write!(f, "{bytes} bytes of text, a scenario has at most {TEXT_BYTES_MAX}")
            }
            TextError::NotText { at } => write!(f, "byte {at}: not UTF-8"),
            TextError::Wrong { line, column, message } => {
                write!(f, "line {line}, column {column}: {message}")
            }
            TextError::TooMany { what, count, most } => {
                write!(f, "{count} {what}, a scenario has at most {most}")
            }
        }
    }
}

impl std::error::Error for TextError {}

/// RON as scenarios use it: `Script(op: ..)` and not `Script((op: ..))`.
fn options() -> ron::Options {
    ron::Options::default().with_default_extension(Extensions::UNWRAP_VARIANT_NEWTYPES)
}

/// Reads a scenario's text, and repairs it.
///
/// # Errors
///
/// What is wrong, and where.
pub fn read(bytes: &[u8]) -> Result<Scenario, TextError> {
    if bytes.len() > TEXT_BYTES_MAX {
        return Err(TextError::TooLong { bytes: bytes.len() });
    }
    let text = std::str::from_utf8(bytes)
        .map_err(|error| TextError::NotText { at: error.valid_up_to() })?;
    let text = text.strip_prefix('\u{FEFF}').unwrap_or(text);
    let Document { _version, setup, steps, schedule, policy } =
        options().from_str(text).map_err(|error| TextError::Wrong {
            line: error.span.start.line,
            column: error.span.start.col,
            message: explain(&error.code),
        })?;
    within("steps", steps.len(), STEPS_MAX)?;
    within("decisions", schedule.len(), DECISIONS_MAX)?;
    let mut scenario = Scenario { setup, steps, schedule, policy };
    scenario.repair();
    Ok(scenario)
}

/// The parser's complaint, with the nearest name instead of all that there are.
pub(crate) fn explain(error: &ron::Error) -> String {
    let (kind, found, known) = match error {
        ron::Error::NoSuchEnumVariant { outer, found, expected } => (outer, found, *expected),
        ron::Error::NoSuchStructField { outer, found, expected } => (outer, found, *expected),
        ron::Error::MissingStructField { field, outer } => {
            let whose = outer.as_deref().unwrap_or("a part");
            return format!("{whose} has no `{field}`, which it needs");
        }
        other => return other.to_string(),
    };
    let whose = kind.as_deref().unwrap_or("a part");
    match known.iter().min_by_key(|name| edits(found, name)) {
        Some(nearest) => format!("{whose} has no `{found}`; the nearest name is `{nearest}`"),
        None => format!("{whose} has no `{found}`"),
    }
}

/// How many letters must be put in, taken out or replaced to make `to` of `from`.
fn edits(from: &str, to: &str) -> usize {
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (line, letter) in from.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = line + 1;
        for (column, wanted) in to.bytes().enumerate() {
            let replaced = diagonal + usize::from(!letter.eq_ignore_ascii_case(&wanted));
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[to.len()]
}

fn within(what: &'static str, count: usize, most: usize) -> Result<(), TextError> {
    if count > most { Err(TextError::TooMany { what, count, most }) } else { Ok(()) }
}

/// Writes a scenario as text: a step a line, and what has its default left out.
#[must_use]
pub fn write(scenario: &Scenario) -> String {
    let recorded = scenario.policy == Policy::Recorded;
    let version = if recorded { codec::VERSION } else { codec::VERSION_POLICY };
    let mut text = format!("(\n    version: {version},\n");
    if scenario.setup != Setup::default() {
        let setup =
            ron(&scenario.setup, PrettyConfig::new().compact_arrays(true)).replace('\n', "\n    ");
        push(&mut text, format_args!("    setup: {setup},\n"));
    }
    let steps: Vec<_> = scenario.steps.iter().map(compact).collect();
    push_list(&mut text, "steps", &steps);
    let decisions: Vec<_> = scenario.schedule.iter().map(compact).collect();
    let rows: Vec<_> = decisions.chunks(DECISIONS_A_LINE).map(|row| row.join(", ")).collect();
    push_list(&mut text, "schedule", &rows);
    if !recorded {
        push(&mut text, format_args!("    policy: {},\n", compact(&scenario.policy)));
    }
    text.push_str(")\n");
    text
}

/// Writes a step as it stands in a text.
#[must_use]
pub fn write_step(step: &Step) -> String {
    compact(step)
}

fn push_list(text: &mut String, name: &str, lines: &[String]) {
    if lines.is_empty() {
        return;
    }
    push(text, format_args!("    {name}: [\n"));
    for line in lines {
        push(text, format_args!("        {line},\n"));
    }
    text.push_str("    ],\n");
}

fn push(text: &mut String, what: fmt::Arguments<'_>) {
    text.write_fmt(what).expect("a string takes whatever is written");
}

fn compact<T: Serialize>(value: &T) -> String {
    ron(value, PrettyConfig::new().compact_structs(true))
}

fn ron<T: Serialize>(value: &T, config: PrettyConfig) -> String {
    options()
        .to_string_pretty(value, config.new_line("\n"))
        .expect("a scenario has nothing that RON cannot say")
}

/// Why a file is no scenario.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReadError {
    /// It begins as text.
    Text(TextError),
    /// It does not.
    Bytes(FormatError),
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReadError::Text(error) => error.fmt(f),
            ReadError::Bytes(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for ReadError {}

/// Reads a file that is a scenario's text or its bytes.
///
/// # Errors
///
/// What is wrong, and where.
pub fn read_either(bytes: &[u8]) -> Result<Scenario, ReadError> {
    if codec::looks_like_text(bytes) {
        read(bytes).map_err(ReadError::Text)
    } else {
        codec::read(bytes).map_err(ReadError::Bytes)
    }
}

#[cfg(test)]
mod tests;
