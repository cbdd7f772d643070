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
    let says_text = path.extension().is_some_and(|ending| ending == "ron");
    if says_text || codec::looks_like_text(&bytes) {
        return parse(path, &bytes);
    }
    codec::read(&bytes).map_err(|error| {
        Failure::at("read", path, format_args!("{error}; is it a scenario of lockstorm's?"))
    })
}

/// The scenario in a text file.
pub(super) fn scenario_text(path: &Path) -> Result<Scenario, Failure> {
    parse(path, &read(path)?)
}

fn parse(path: &Path, bytes: &[u8]) -> Result<Scenario, Failure> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let at = error.valid_up_to();
        Failure::at("read", path, format_args!("byte {at} is not UTF-8, so this is no RON text"))
    })?;
    if text.trim().is_empty() {
        return Err(Failure::at("read", path, "the file is empty, expected a scenario as RON text"));
    }
    text::from_text(text).map_err(|error| Failure::at("read", path, error))
}

/// The bytes of a file, of which no more are read than a scenario can have.
fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let fail = |error: std::io::Error| Failure::at("read", path, reason(&error));
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(fail)?;
    file.take(codec::FILE_BYTES_MAX as u64 + 1).read_to_end(&mut bytes).map_err(fail)?;
    if bytes.len() > codec::FILE_BYTES_MAX {
        let most = codec::FILE_BYTES_MAX;
        return Err(Failure::at("read", path, format_args!("longer than {most} bytes: no scenario")));
    }
    Ok(bytes)
}
