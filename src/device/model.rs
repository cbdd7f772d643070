//! The hardware models by name: what `--device` takes.

use super::Device;
use super::bare::Bare;
use super::nvme::Nvme;

/// A hardware model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Model {
    /// An NVMe controller with a RAM disk.
    Nvme,
    /// A device that only interrupts.
    Bare,
}

impl Model {
    /// Every model.
    pub const ALL: [Model; 2] = [Model::Nvme, Model::Bare];

    /// The name on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Model::Nvme => "nvme",
            Model::Bare => "bare",
        }
    }

    /// What it is, in one line.
    #[must_use]
    pub const fn summary(self) -> &'static str {
        match self {
            Model::Nvme => "an NVMe controller with one namespace on a RAM disk",
            Model::Bare => "a device that does nothing but interrupt when the scenario says so",
        }
    }

    /// The model of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Model> {
        Model::ALL.into_iter().find(|model| model.name() == name)
    }

    /// A device.
    #[must_use]
    pub fn build(self) -> Box<dyn Device> {
        match self {
            Model::Nvme => Box::new(Nvme::new()),
            Model::Bare => Box::new(Bare::new()),
        }
    }
}
