//! A hash over a run's events, by which two runs are compared.

use std::hash::{Hash, Hasher};

use crate::event::{Event, Kind, Site};

/// A hash that is the same on every host and in every build: FNV-1a over 64-bit words.
#[derive(Clone, Copy, Debug)]
pub struct EventHasher(u64);

impl Default for EventHasher {
    fn default() -> Self {
        EventHasher(0xCBF2_9CE4_8422_2325)
    }
}

impl EventHasher {
    /// Takes one event. A source location counts by its line and column, which builds agree on.
    pub fn event(&mut self, event: &Event) {
        self.write_u64(event.time);
        self.write_u64(
            u64::from(event.processor) << 16
                | u64::from(event.irql.0) << 8
                | u64::from(event.depth),
        );
        self.site(event.site);
        Kind::hash(&event.kind, self);
    }

    /// Takes a site.
    pub(crate) fn site(&mut self, site: Site) {
        match site {
            Site::Port => self.write_u64(0),
            Site::Source(at) => self.write_u64(u64::from(at.line()) << 16 | u64::from(at.column())),
            Site::Told(at) => self.write_u64(u64::from(at.line) << 16 | u64::from(at.column)),
            Site::Image(offset) => self.write_u64(1 << 63 | u64::from(offset)),
        }
    }
}

impl Hasher for EventHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u64(u64::from(byte));
        }
    }

    fn write_u8(&mut self, value: u8) {
        self.write_u64(u64::from(value));
    }

    fn write_u16(&mut self, value: u16) {
        self.write_u64(u64::from(value));
    }

    fn write_u32(&mut self, value: u32) {
        self.write_u64(u64::from(value));
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = (self.0 ^ value).wrapping_mul(0x0000_0100_0000_01B3).rotate_left(23);
    }

    fn write_isize(&mut self, value: isize) {
        self.write_u64(value as u64);
    }
}
