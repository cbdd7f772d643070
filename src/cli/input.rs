//! What a user names: drivers, and files with scenarios.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::failure::{Failure, reason};
use crate::device::model::Model;
use crate::harness::{BuiltIn, Compiled, OpenError, Prepared, Target};
use crate::machine::MemoryWatch;
use crate::scenario::{Scenario, codec, text};

/// The device of a compiled driver, and how a driver's memory is watched.
#[derive(Debug, clap::Args)]
pub(super) struct Device {
    /// The device in front of which a compiled driver is put; 'lockstorm drivers' lists them
    #[arg(long, value_name = "MODEL")]
    device: Option<String>,
    /// What the device is in PCI configuration space, as RON, instead of the model's own
    #[arg(long, value_name = "FILE", requires = "device")]
    pci: Option<PathBuf>,
    /// Look for data races too: a run takes some 2.5 times as long ('cargo bench --bench races' measures it); 'lockstorm
    /// rules race.unsynchronized' says what it finds
    #[arg(long)]
    races: bool,
    /// Let other processors and interrupts in before the driver's accesses to shared memory too. A scenario that was
    /// found so must be replayed so
    #[arg(long, value_name = "WHERE")]
    preempt: Option<Preempt>,
}

/// Where a processor may be preempted, besides the calls of StorPort.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Preempt {
    /// Before accesses to shared memory
    Memory,
}

impl Device {
    /// How the driver's accesses to shared memory are to be watched.
    pub(super) fn watch(&self) -> MemoryWatch {
        MemoryWatch { events: self.races, preempts: self.preempt == Some(Preempt::Memory) }
    }
}

/// The driver of that name: a built-in one, or a compiled one by the path of its `.sys`.
pub(super) fn driver(name: &str, options: &Device) -> Result<Target, Failure> {
    unwatched(name, options).map(|driver| driver.watched(options.watch()))
}

/// As [`driver`], for a command whose workers read the driver's files: what is wrong with those is said once, and here.
pub(super) fn driver_of_workers(name: &str, options: &Device) -> Result<Target, Failure> {
    let driver = driver(name, options)?;
    Prepared::read(&driver).map_err(|error| unusable(&error))?;
    Ok(driver)
}

fn unwatched(name: &str, Device { device, pci, .. }: &Device) -> Result<Target, Failure> {
    let device = device.as_deref().map(model).transpose()?;
    if let Some(driver) = BuiltIn::from_name(name) {
        return match device {
            Some(device) if device != driver.device() => Err(Failure::new(format!(
                "{name} is written for the device '{}'; --device is for compiled drivers",
                driver.device().name()
            ))),
            _ if pci.is_some() => Err(Failure::new("--pci is for compiled drivers")),
            _ => Ok(driver.into()),
        };
    }
    let path = Path::new(name);
    if !path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("sys")) && !path.exists()
    {
        let names = BuiltIn::ALL.iter().map(|driver| driver.name());
        return Err(Failure::unknown("driver", name, names, "drivers"));
    }
    let device = device.ok_or_else(|| {
        Failure::new(format!("{name}: say with --device MODEL which device it drives{}", models()))
    })?;
    Ok(Target::Compiled(Compiled { path: path.to_owned(), device, pci: pci.clone() }))
}

fn model(name: &str) -> Result<Model, Failure> {
    let names = Model::ALL.iter().map(|model| model.name());
    Model::from_name(name).ok_or_else(|| Failure::unknown("device", name, names, "drivers"))
}

fn models() -> String {
    Model::ALL.iter().fold(String::new(), |list, model| {
        format!("{list}{}{}", if list.is_empty() { ": " } else { ", " }, model.name())
    })
}

/// A driver that cannot be fuzzed.
pub(super) fn unusable(error: &OpenError) -> Failure {
    Failure::new(error.to_string())
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
