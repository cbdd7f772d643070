//! The hardware models by name: what `--device` takes.

use super::Device;
use super::bare::Bare;
use super::disguise::Disguise;
use super::doorbell::Doorbell;
use super::nvme::Nvme;
use super::pci::{DescriptionError, Function};
use super::registers::Registers;

/// A hardware model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Model {
    /// An NVMe controller with a RAM disk.
    Nvme,
    /// The disk behind doorbells that `examples/c-miniport` drives.
    Doorbell,
    /// Registers without a model: every read is answered by the scenario.
    Registers,
    /// A device that only interrupts.
    Bare,
}

impl Model {
    /// Every model.
    pub const ALL: [Model; 4] = [Model::Nvme, Model::Doorbell, Model::Registers, Model::Bare];

    /// The name on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Model::Nvme => "nvme",
            Model::Doorbell => "doorbell",
            Model::Registers => "registers",
            Model::Bare => "bare",
        }
    }

    /// What it is, in one line.
    #[must_use]
    pub const fn summary(self) -> &'static str {
        match self {
            Model::Nvme => "an NVMe controller with one namespace on a RAM disk",
            Model::Doorbell => "a disk with a doorbell a command: what examples/c-miniport drives",
            Model::Registers => "no model: the scenario answers every register read",
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
            Model::Doorbell => Box::new(Doorbell::new()),
            Model::Registers => Box::new(Registers::new()),
            Model::Bare => Box::new(Bare::new()),
        }
    }

    /// A device that is, in configuration space, what a description says. Where there is no model, its BARs are the
    /// description's too.
    ///
    /// # Errors
    ///
    /// The description has BARs, and the model has its own.
    pub fn build_as(self, function: Function) -> Result<Box<dyn Device>, DescriptionError> {
        if self == Model::Registers {
            return Ok(Box::new(Registers::with(function)));
        }
        if !function.ranges().is_empty() {
            let name = self.name();
            return Err(DescriptionError::Impossible(format!(
                "the device `{name}` has registers of its own: leave `bars` out"
            )));
        }
        Ok(Box::new(Disguise::new(self.build(), &function)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_in_disguise_is_still_the_model() {
        let function = || Function::read(b"(vendor: 1, device: 2)").expect("a description");
        let plain = Model::Nvme.build();
        let disguised = Model::Nvme.build_as(function()).expect("no BARs");
        assert_eq!(disguised.config_space()[..4], [1, 0, 2, 0]);
        assert_ne!(
            disguised.config_space()[0x10..0x14],
            [0; 4],
            "BAR 0 is where the machine puts it"
        );
        assert_eq!(disguised.range(0), plain.range(0));
        assert_eq!(disguised.geometry(), plain.geometry());
        let bars = b"(vendor: 1, device: 2, bars: [(index: 0, kind: Ports, bytes: 64)])";
        let wrong = Model::Nvme.build_as(Function::read(bars).expect("a description"));
        assert!(wrong.err().is_some_and(|error| error.to_string().contains("`bars`")));
        let registers = Model::Registers.build_as(Function::read(bars).expect("a description"));
        assert!(registers.is_ok_and(|device| device.register_bytes() == 64));
    }
}
