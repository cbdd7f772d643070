//! What a user names: drivers, and files with scenarios.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::failure::{Failure, reason};
use crate::harness::BuiltIn;
use crate::scenario::{Scenario, codec, text};

/// The driver of that name.
pub(super) fn driver(name: &str) -> Result<BuiltIn, Failure> {
    BuiltIn::from_name(name).ok_or_else(|| {
        Failure::unknown("driver", name, BuiltIn::ALL.iter().map(|driver| driver.name()), "drivers")
    })
}

/// The scenario in a file, which holds its bytes or its text.
pub(super) fn scenario(path: &Path) -> Result<Scenario, Failure> {
    let bytes = read(path)?;
    if is_text(path) {
        return text::read(&bytes).map_err(|error| no_scenario(path, &error));
    }
    text::read_either(&bytes).map_err(|error| no_scenario(path, &error))
}

/// The scenario in a text file.
pub(super) fn scenario_text(path: &Path) -> Result<Scenario, Failure> {
    text::read(&read(path)?).map_err(|error| no_scenario(path, &error))
}

fn is_text(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending == "ron")
}

fn no_scenario(path: &Path, why: &dyn std::fmt::Display) -> Failure {
    Failure::at("read", path, format_args!("{why}; expected a scenario, as bytes or as RON text"))
}

/// The bytes of a file, of which no more are read than a scenario can have, and one to tell that there
/// are more.
fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let fail = |error: std::io::Error| Failure::at("read", path, reason(&error));
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(fail)?;
    file.take(codec::FILE_BYTES_MAX as u64 + 1).read_to_end(&mut bytes).map_err(fail)?;
    Ok(bytes)
}
