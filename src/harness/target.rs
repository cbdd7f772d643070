//! What is fuzzed: a driver, and the device that it is put in front of.

use std::borrow::Cow;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

use crate::device::Device;
use crate::device::model::Model;
use crate::device::pci::Function;
use crate::machine::MemoryWatch;

/// A driver that comes with lockstorm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BuiltIn {
    /// The NVMe miniport, in front of a simulated controller.
    Nvme,
    /// The miniport that plays a scenario's script.
    Puppet,
}

impl BuiltIn {
    /// Every built-in driver.
    pub const ALL: [BuiltIn; 2] = [BuiltIn::Nvme, BuiltIn::Puppet];

    /// The name on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            BuiltIn::Nvme => "nvme",
            BuiltIn::Puppet => "puppet",
        }
    }

    /// What it is, in one line.
    #[must_use]
    pub const fn summary(self) -> &'static str {
        match self {
            BuiltIn::Nvme => "a real NVMe miniport core on a simulated controller: the main job",
            BuiltIn::Puppet => {
                "plays the lock calls that a scenario scripts: every mistake is possible"
            }
        }
    }

    /// The driver of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<BuiltIn> {
        BuiltIn::ALL.into_iter().find(|driver| driver.name() == name)
    }

    /// The device that it is written for.
    #[must_use]
    pub const fn device(self) -> Model {
        match self {
            BuiltIn::Nvme => Model::Nvme,
            BuiltIn::Puppet => Model::Bare,
        }
    }
}

/// A compiled Windows driver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compiled {
    /// The `.sys`.
    pub path: PathBuf,
    /// The device in front of which it is put.
    pub device: Model,
    /// A file that says what the device is in PCI configuration space, instead of the model; see
    /// [`pci`](crate::device::pci).
    pub pci: Option<PathBuf>,
}

impl Compiled {
    /// The device, as its description says if there is one.
    ///
    /// # Errors
    ///
    /// The description cannot be read, or does not go with the model.
    pub fn build_device(&self) -> Result<Box<dyn Device>, OpenError> {
        let Some(path) = &self.pci else { return Ok(self.device.build()) };
        let bytes = std::fs::read(path).map_err(|error| OpenError::new(path, &error))?;
        let function = Function::read(&bytes).map_err(|error| OpenError::new(path, &error))?;
        self.device.build_as(function).map_err(|error| OpenError::new(path, &error))
    }
}

/// What is fuzzed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A driver that comes with lockstorm.
    BuiltIn(BuiltIn),
    /// A compiled Windows driver.
    Compiled(Compiled),
    /// A driver whose accesses to memory are watched.
    Watched(Box<Target>, MemoryWatch),
}

impl From<BuiltIn> for Target {
    fn from(driver: BuiltIn) -> Target {
        Target::BuiltIn(driver)
    }
}

impl Target {
    /// A short name, for the driver's folders: that of a built-in driver, or that of the `.sys`.
    #[must_use]
    pub fn name(&self) -> Cow<'_, str> {
        match self {
            Target::Watched(driver, _) => driver.name(),
            Target::BuiltIn(driver) => driver.name().into(),
            Target::Compiled(Compiled { path, .. }) => {
                path.file_name().unwrap_or(path.as_os_str()).to_string_lossy()
            }
        }
    }

    /// Which of the committed corpora fits it: a built-in driver's own, or the one for its device.
    #[must_use]
    pub fn corpus(&self) -> &'static str {
        match self {
            Target::Watched(driver, _) => driver.corpus(),
            Target::BuiltIn(driver) => driver.name(),
            Target::Compiled(Compiled { device, .. }) => device.name(),
        }
    }

    /// Whether its code is not lockstorm's own.
    #[must_use]
    pub fn is_untrusted(&self) -> bool {
        self.file().is_some()
    }

    /// The `.sys` of a compiled driver.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        match self {
            Target::BuiltIn(_) => None,
            Target::Compiled(driver) => Some(&driver.path),
            Target::Watched(driver, _) => driver.file(),
        }
    }

    /// The same driver, with its accesses to memory watched so.
    #[must_use]
    pub fn watched(self, watch: MemoryWatch) -> Target {
        if watch.is_on() { Target::Watched(Box::new(self), watch) } else { self }
    }

    /// How a command line names it.
    #[must_use]
    pub fn arguments(&self) -> Vec<OsString> {
        match self {
            Target::Watched(driver, watch) => {
                let mut words = driver.arguments();
                words.extend(watch.arguments().iter().map(OsString::from));
                words
            }
            Target::BuiltIn(driver) => vec![driver.name().into()],
            Target::Compiled(Compiled { path, device, pci }) => {
                let mut words = vec![path.into(), "--device".into(), device.name().into()];
                if let Some(pci) = pci {
                    words.extend(["--pci".into(), pci.into()]);
                }
                words
            }
        }
    }
}

/// Why a driver cannot be fuzzed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it, in one line.
    pub reason: String,
}

impl OpenError {
    /// The driver in `path` cannot be fuzzed because of `reason`.
    #[must_use]
    pub fn new(path: &Path, reason: &dyn fmt::Display) -> OpenError {
        OpenError { path: path.to_owned(), reason: reason.to_string() }
    }
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.reason)
    }
}

impl std::error::Error for OpenError {}
