//! An image laid out as in memory, read only through checked offsets.

use std::fmt;

use object::pod::{Pod, from_bytes};

use super::headers::Headers;
use super::{PAGE, PeError};

/// The longest name that is read: a C++ routine's decorated name with room to spare.
const TEXT_MAX: usize = 512;

/// An image before relocation, every byte at its offset from the base.
pub struct Memory(Vec<u8>);

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Memory({} bytes)", self.0.len())
    }
}

impl Memory {
    /// Puts headers and sections where they belong. What the headers say has been checked.
    pub(super) fn lay_out(bytes: &[u8], headers: &Headers) -> Self {
        let mut memory = vec![0; headers.image_size as usize];
        memory[..headers.size].copy_from_slice(&bytes[..headers.size]);
        for section in &headers.sections {
            let filled = section.filled();
            memory[filled.start as usize..filled.end as usize]
                .copy_from_slice(&bytes[section.file.clone()]);
        }
        debug_assert!(memory.len().is_multiple_of(PAGE as usize));
        Memory(memory)
    }

    /// All bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// The image's size in bytes.
    pub fn size(&self) -> u32 {
        self.0.len() as u32
    }

    /// `size` bytes at `address`, if the image has them.
    pub fn slice(&self, address: u32, size: u32) -> Option<&[u8]> {
        let start = address as usize;
        self.0.get(start..start.checked_add(size as usize)?)
    }

    /// Eight bytes at `address`, if the image has them.
    pub fn word(&self, address: u32) -> Option<u64> {
        let bytes = self.slice(address, 8)?;
        Some(u64::from_le_bytes(bytes.try_into().ok()?))
    }

    /// A structure at `address`, if the image has it whole.
    pub(super) fn structure<T: Pod>(&self, address: u32) -> Option<&T> {
        let bytes = self.0.get(address as usize..)?;
        from_bytes(bytes).ok().map(|(structure, _)| structure)
    }

    /// The printable ASCII text at `address` up to its zero.
    pub(super) fn text(&self, what: &'static str, address: u32) -> Result<&str, PeError> {
        let malformed =
            |why: &'static str| PeError::Malformed { what: what.into(), address, why: why.into() };
        let rest =
            self.0.get(address as usize..).ok_or_else(|| malformed("it lies outside the image"))?;
        let rest = &rest[..rest.len().min(TEXT_MAX)];
        let length =
            rest.iter().position(|&byte| byte == 0).ok_or_else(|| malformed("it has no end"))?;
        let text = &rest[..length];
        if text.is_empty() || !text.iter().all(u8::is_ascii_graphic) {
            return Err(malformed("it is no readable name"));
        }
        std::str::from_utf8(text).map_err(|_| malformed("it is no readable name"))
    }
}
