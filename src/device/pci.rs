//! A PCI function by its description: what a compiled driver finds in configuration space when no model says it.
//!
//! The description is a small RON file. Only vendor and device must be there:
//!
//! ```text
//! (
//!     vendor: 0x1AF4,
//!     device: 0x1001,
//!     subsystem: (0x1AF4, 0x0002),
//!     class: (0x01, 0x00, 0x00),          // base class, subclass, programming interface
//!     revision: 0,
//!     bars: [
//!         (index: 0, kind: Ports, bytes: 0x80),
//!         (index: 1, kind: Memory32, bytes: 0x1000),
//!     ],
//!     line: true,                         // an interrupt line beside messages
//!     msix: (messages: 3, bar: 1, table: 0, pending: 0x800),
//!     capabilities: [(id: 0x09, bytes: [0x10, 0x01, 0x00])],
//!     registers: [(bar: 1, offset: 0x0, value: 0x0F)],
//! )
//! ```
//!
//! Each BAR becomes an access range, in the order of their indices. Where they lie is the machine's choice; all lie
//! behind each other, so that the device sees one stretch of registers. `registers` are 32-bit registers that always read
//! as the same value, whatever the scenario says of others: what a driver must find there before it believes in its device.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;

use super::{REGISTERS_PHYSICAL, Range};
use crate::scenario::text;

/// BARs of a function.
pub const BARS_MAX: usize = 6;
/// Bytes of all BARs together: what the machine has addresses for.
pub const REGISTER_BYTES_MAX: u32 = 1 << 20;
/// Longest description that is read.
const TEXT_BYTES_MAX: usize = 1 << 16;

const CAPABILITIES_AT: usize = 0x40;
const CAPABILITY_MSI: u8 = 0x05;
const CAPABILITY_MSIX: u8 = 0x11;
/// Memory and I/O space and bus mastering on.
const COMMAND: u16 = 0x0007;
const STATUS_HAS_CAPABILITIES: u16 = 0x0010;

/// A PCI function as it is described.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Description {
    vendor: u16,
    device: u16,
    #[serde(default)]
    subsystem: (u16, u16),
    /// Mass storage controller, other, if not said.
    #[serde(default = "mass_storage")]
    class: (u8, u8, u8),
    #[serde(default)]
    revision: u8,
    #[serde(default)]
    bars: Vec<Bar>,
    #[serde(default = "yes")]
    line: bool,
    #[serde(default)]
    msi: Option<Msi>,
    #[serde(default)]
    msix: Option<Msix>,
    #[serde(default)]
    capabilities: Vec<Capability>,
    #[serde(default)]
    registers: Vec<Constant>,
}

/// A base address register.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Bar {
    index: u8,
    kind: BarKind,
    /// A power of two.
    bytes: u32,
}

/// What a BAR asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
enum BarKind {
    Memory32,
    /// Takes the next register as well.
    Memory64,
    Ports,
}

/// Message-signaled interrupts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Msi {
    /// A power of two, up to 32.
    messages: u8,
}

/// MSI-X, whose table and pending bits lie in a BAR.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Msix {
    messages: u16,
    bar: u8,
    table: u32,
    pending: u32,
}

/// Any other capability: what follows its identifier and the pointer to the next.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Capability {
    id: u8,
    bytes: Vec<u8>,
}

/// A 32-bit register that always reads as the same value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Constant {
    bar: u8,
    offset: u32,
    value: u32,
}

const fn mass_storage() -> (u8, u8, u8) {
    (0x01, 0x80, 0x00)
}

const fn yes() -> bool {
    true
}

/// What is wrong with a description.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DescriptionError {
    /// It is longer than any that is read.
    TooLong,
    /// It is not UTF-8.
    NotText,
    /// It does not have the form of a description.
    Wrong {
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
        /// What the parser says.
        message: String,
    },
    /// It describes nothing that there can be.
    Impossible(String),
}

impl fmt::Display for DescriptionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong => write!(f, "longer than {TEXT_BYTES_MAX} bytes"),
            Self::NotText => f.write_str("not UTF-8"),
            Self::Wrong { line, column, message } => {
                write!(f, "line {line}, column {column}: {message}")
            }
            Self::Impossible(what) => f.write_str(what),
        }
    }
}

impl std::error::Error for DescriptionError {}

fn impossible<T>(what: impl Into<String>) -> Result<T, DescriptionError> {
    Err(DescriptionError::Impossible(what.into()))
}

/// A PCI function: its configuration space, and where its registers are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Function {
    space: [u8; 256],
    ranges: Vec<Range>,
    /// By offset among all registers.
    constants: BTreeMap<u32, u32>,
    register_bytes: u32,
}

impl Function {
    /// Reads a description.
    ///
    /// # Errors
    ///
    /// What is wrong, and where.
    pub fn read(bytes: &[u8]) -> Result<Function, DescriptionError> {
        if bytes.len() > TEXT_BYTES_MAX {
            return Err(DescriptionError::TooLong);
        }
        let text = std::str::from_utf8(bytes).map_err(|_| DescriptionError::NotText)?;
        let options = ron::Options::default()
            .with_default_extension(ron::extensions::Extensions::IMPLICIT_SOME);
        let description: Description =
            options.from_str(text).map_err(|error| DescriptionError::Wrong {
                line: error.span.start.line,
                column: error.span.start.col,
                message: text::explain(&error.code),
            })?;
        Function::build(&description)
    }

    /// A function with one range of registers, as a model has it.
    #[must_use]
    pub const fn of_space(space: [u8; 256]) -> Function {
        Function { space, ranges: Vec::new(), constants: BTreeMap::new(), register_bytes: 0 }
    }

    /// Its configuration space.
    #[must_use]
    pub const fn space(&self) -> &[u8; 256] {
        &self.space
    }

    /// Its access ranges, one a BAR.
    #[must_use]
    pub fn ranges(&self) -> &[Range] {
        &self.ranges
    }

    /// Bytes from the first range's beginning to the last one's end.
    #[must_use]
    pub const fn register_bytes(&self) -> u32 {
        self.register_bytes
    }

    /// What the register at this offset always reads as, if it does.
    #[must_use]
    pub fn constant(&self, offset: u32) -> Option<u32> {
        self.constants.get(&offset).copied()
    }

    fn build(description: &Description) -> Result<Function, DescriptionError> {
        let mut function = Function::of_space([0; 256]);
        function.put_identity(description);
        function.put_bars(&description.bars)?;
        function.put_capabilities(description)?;
        function.put_constants(description)?;
        Ok(function)
    }

    fn put(&mut self, at: usize, bytes: &[u8]) {
        self.space[at..at + bytes.len()].copy_from_slice(bytes);
    }

    fn put_identity(&mut self, description: &Description) {
        let (base, sub, interface) = description.class;
        self.put(0x00, &description.vendor.to_le_bytes());
        self.put(0x02, &description.device.to_le_bytes());
        self.put(0x04, &COMMAND.to_le_bytes());
        self.put(0x08, &[description.revision, interface, sub, base]);
        self.put(0x2C, &description.subsystem.0.to_le_bytes());
        self.put(0x2E, &description.subsystem.1.to_le_bytes());
        self.put(0x3D, &[u8::from(description.line)]);
    }

    /// Lays the BARs out, each at a multiple of its size.
    fn put_bars(&mut self, bars: &[Bar]) -> Result<(), DescriptionError> {
        let mut bars = bars.to_vec();
        bars.sort_by_key(|bar| bar.index);
        let mut taken = [false; BARS_MAX];
        let mut end = 0_u32;
        for bar in &bars {
            claim(bar, &mut taken)?;
            let offset = end.next_multiple_of(bar.bytes);
            end = offset.saturating_add(bar.bytes);
            if end > REGISTER_BYTES_MAX {
                return impossible(format!(
                    "the BARs have more than {REGISTER_BYTES_MAX:#x} bytes together"
                ));
            }
            let memory = bar.kind != BarKind::Ports;
            self.ranges.push(Range { offset, bytes: bar.bytes, memory });
            let flags = match bar.kind {
                BarKind::Memory32 => 0x0,
                BarKind::Memory64 => 0x4,
                BarKind::Ports => 0x1,
            };
            let address = (REGISTERS_PHYSICAL + u64::from(offset)) as u32;
            self.put(0x10 + 4 * usize::from(bar.index), &(address | flags).to_le_bytes());
        }
        self.register_bytes = end;
        Ok(())
    }

    fn put_capabilities(&mut self, description: &Description) -> Result<(), DescriptionError> {
        let mut list = Vec::new();
        if let Some(msi) = description.msi {
            list.push((CAPABILITY_MSI, msi_bytes(msi)?));
        }
        if let Some(msix) = description.msix {
            list.push((CAPABILITY_MSIX, msix_bytes(msix, &description.bars)?));
        }
        for capability in &description.capabilities {
            list.push((capability.id, capability.bytes.clone()));
        }
        let (mut link, mut at) = (0x34, CAPABILITIES_AT);
        for (id, bytes) in list {
            let end = at + 2 + bytes.len();
            if end > self.space.len() {
                return impossible("the capabilities do not fit into configuration space");
            }
            self.put(link, &[at as u8]);
            self.put(at, &[id, 0]);
            self.put(at + 2, &bytes);
            (link, at) = (at + 1, end.next_multiple_of(4));
            self.put(0x06, &STATUS_HAS_CAPABILITIES.to_le_bytes());
        }
        Ok(())
    }

    fn put_constants(&mut self, description: &Description) -> Result<(), DescriptionError> {
        let mut bars: Vec<u8> = description.bars.iter().map(|bar| bar.index).collect();
        bars.sort_unstable();
        for Constant { bar, offset, value } in &description.registers {
            let range = bars.iter().position(|index| index == bar).map(|n| self.ranges[n]);
            let Some(range) = range.filter(|range| *offset < range.bytes && offset % 4 == 0) else {
                return impossible(format!("BAR {bar} has no 32-bit register at {offset:#x}"));
            };
            self.constants.insert(range.offset + offset, *value);
        }
        Ok(())
    }
}

/// Takes the registers of a BAR, if they are there and free.
fn claim(bar: &Bar, taken: &mut [bool; BARS_MAX]) -> Result<(), DescriptionError> {
    let index = usize::from(bar.index);
    let smallest = if bar.kind == BarKind::Ports { 4 } else { 16 };
    if !bar.bytes.is_power_of_two() || bar.bytes < smallest {
        return impossible(format!(
            "BAR {index} has {:#x} bytes; a BAR has a power of two, {smallest} or more",
            bar.bytes
        ));
    }
    let width = if bar.kind == BarKind::Memory64 { 2 } else { 1 };
    if index + width > BARS_MAX {
        return impossible(format!("BAR {index} does not exist; a function has BARs 0 to 5"));
    }
    for register in &mut taken[index..index + width] {
        if std::mem::replace(register, true) {
            return impossible(format!("BAR {index} overlaps another; a Memory64 takes two"));
        }
    }
    Ok(())
}

/// Message Control, address and data, with 64-bit addresses.
fn msi_bytes(msi: Msi) -> Result<Vec<u8>, DescriptionError> {
    if !msi.messages.is_power_of_two() || msi.messages > 32 {
        return impossible(format!(
            "MSI has {} messages; 1, 2, 4, 8, 16 or 32 can be",
            msi.messages
        ));
    }
    let log = msi.messages.trailing_zeros() as u8;
    let mut bytes = vec![0; 12];
    bytes[0] = 0x80 | log << 1;
    Ok(bytes)
}

/// Message Control, and where table and pending bits are.
fn msix_bytes(msix: Msix, bars: &[Bar]) -> Result<Vec<u8>, DescriptionError> {
    if !(1..=2048).contains(&msix.messages) {
        return impossible(format!("MSI-X has {} messages; 1 to 2048 can be", msix.messages));
    }
    let Some(bar) = bars.iter().find(|bar| bar.index == msix.bar && bar.kind != BarKind::Ports)
    else {
        return impossible(format!("the MSI-X table is in BAR {}, which is no memory", msix.bar));
    };
    let messages = u32::from(msix.messages);
    let inside = |offset: u32, bytes: u32| {
        offset.is_multiple_of(8) && offset.checked_add(bytes).is_some_and(|end| end <= bar.bytes)
    };
    if !inside(msix.table, 16 * messages) || !inside(msix.pending, messages.div_ceil(64) * 8) {
        return impossible(format!("the MSI-X table does not lie inside BAR {}", msix.bar));
    }
    let mut bytes = (msix.messages - 1).to_le_bytes().to_vec();
    bytes.extend((msix.table | u32::from(msix.bar)).to_le_bytes());
    bytes.extend((msix.pending | u32::from(msix.bar)).to_le_bytes());
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const VIRTIO: &str = "(
        vendor: 0x1AF4, device: 0x1001, subsystem: (0x1AF4, 0x0002), class: (0x01, 0x00, 0x02), revision: 7,
        bars: [(index: 1, kind: Memory32, bytes: 0x1000), (index: 0, kind: Ports, bytes: 0x80),
               (index: 4, kind: Memory64, bytes: 0x4000)],
        msix: (messages: 3, bar: 1, table: 0, pending: 0x800),
        capabilities: [(id: 0x09, bytes: [0x10, 0x01])],
        registers: [(bar: 1, offset: 8, value: 77)],
    )";

    fn refusal(text: &str) -> String {
        Function::read(text.as_bytes()).expect_err("wrong").to_string()
    }

    #[test]
    fn configuration_space_says_what_the_description_says() {
        let function = Function::read(VIRTIO.as_bytes()).expect("a description");
        let space = function.space();
        assert_eq!(space[0x00..0x04], [0xF4, 0x1A, 0x01, 0x10]);
        assert_eq!(space[0x08..0x0C], [7, 0x02, 0x00, 0x01]);
        assert_eq!(space[0x2C..0x30], [0xF4, 0x1A, 0x02, 0x00]);
        assert_eq!(space[0x3D], 1, "INTA");
        // The list: MSI-X at 0x40, the vendor's at 0x4C.
        assert_eq!((space[0x06] & 0x10, space[0x34]), (0x10, 0x40));
        assert_eq!(space[0x40..0x4C], [0x11, 0x4C, 2, 0, 1, 0, 0, 0, 1, 8, 0, 0]);
        assert_eq!(space[0x4C..0x50], [0x09, 0, 0x10, 0x01]);
    }

    #[test]
    fn bars_lie_behind_each_other_at_multiples_of_their_size() {
        let function = Function::read(VIRTIO.as_bytes()).expect("a description");
        let range = |offset, bytes, memory| Range { offset, bytes, memory };
        assert_eq!(
            function.ranges(),
            [range(0, 0x80, false), range(0x1000, 0x1000, true), range(0x4000, 0x4000, true)]
        );
        assert_eq!(function.register_bytes(), 0x8000);
        assert_eq!((function.constant(0x1008), function.constant(8)), (Some(77), None));
        let word = |at: usize| {
            u32::from_le_bytes(function.space()[at..at + 4].try_into().expect("four bytes"))
        };
        let base = REGISTERS_PHYSICAL as u32;
        assert_eq!((word(0x10), word(0x14)), (base | 1, base + 0x1000));
        assert_eq!((word(0x20), word(0x24)), ((base + 0x4000) | 4, 0));
    }

    #[test]
    fn little_is_needed() {
        let function = Function::read(b"(vendor: 1, device: 2, line: false, msi: (messages: 8))")
            .expect("a description");
        assert_eq!(function.space()[0x09..0x0C], [0x00, 0x80, 0x01]);
        assert_eq!(function.space()[0x3D], 0);
        assert_eq!(function.space()[0x40..0x43], [0x05, 0, 0x86]);
        assert!(function.ranges().is_empty());
    }

    #[test]
    fn what_is_wrong_is_said_in_a_line() {
        let with = |rest: &str| refusal(&format!("(vendor: 1, device: 2, {rest})"));
        assert_eq!(
            refusal("(device: 2)"),
            "line 1, column 11: Description has no `vendor`, which it needs"
        );
        let misspelt = with("bar: []");
        assert!(
            misspelt.ends_with("Description has no `bar`; the nearest name is `bars`"),
            "{misspelt}"
        );
        assert!(
            with("bars: [(index: 0, kind: Memory32, bytes: 100)]").starts_with("BAR 0 has 0x64")
        );
        assert!(with("bars: [(index: 5, kind: Memory64, bytes: 16)]").contains("does not exist"));
        let twice =
            "bars: [(index: 0, kind: Memory64, bytes: 16), (index: 1, kind: Ports, bytes: 4)]";
        assert!(with(twice).contains("overlaps"));
        assert!(with("bars: [(index: 0, kind: Memory32, bytes: 0x80000000)]").contains("together"));
        assert!(with("msi: (messages: 3)").contains("MSI has 3"));
        assert!(with("msix: (messages: 1, bar: 0, table: 0, pending: 16)").contains("no memory"));
        let bar = "bars: [(index: 0, kind: Memory32, bytes: 16)]";
        assert!(
            with(&format!("{bar}, msix: (messages: 2, bar: 0, table: 0, pending: 0)"))
                .contains("inside")
        );
        let register = |at: &str| with(&format!("{bar}, registers: [({at}, value: 1)]"));
        assert!(register("bar: 1, offset: 0").contains("BAR 1 has no 32-bit register at 0x0"));
        assert!(register("bar: 0, offset: 16").contains("at 0x10"));
        assert!(register("bar: 0, offset: 2").contains("at 0x2"));
        let long = format!("capabilities: [(id: 9, bytes: {:?})]", [0_u8; 191]);
        assert!(with(&long).contains("do not fit"));
        assert_eq!(Function::read(&[0xFF]), Err(DescriptionError::NotText));
        assert_eq!(Function::read(&vec![b' '; TEXT_BYTES_MAX + 1]), Err(DescriptionError::TooLong));
    }
}
