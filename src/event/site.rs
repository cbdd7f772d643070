//! Where in the driver something happened.

use core::panic::Location;

/// Where in the driver something happened.
#[derive(Clone, Copy, Debug, Default)]
pub enum Site {
    /// In StorPort itself, not in the driver.
    #[default]
    Port,
    /// A line of a driver written in Rust.
    Source(&'static Location<'static>),
    /// An offset from the base of a compiled driver's image.
    Image(u32),
    /// A line of a driver's source, as a record tells it. Equal to [`Site::Source`] for the same line.
    Told(&'static SourceLine),
}

/// A place in a source file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SourceLine {
    /// The file's path, as its compiler was given it.
    pub file: &'static str,
    /// The line, from 1.
    pub line: u32,
    /// The column, from 1.
    pub column: u32,
}

impl Site {
    /// The place in a source file, if that is known.
    #[must_use]
    pub const fn source(self) -> Option<SourceLine> {
        match self {
            Site::Source(at) => {
                Some(SourceLine { file: at.file(), line: at.line(), column: at.column() })
            }
            Site::Told(at) => Some(*at),
            Site::Port | Site::Image(_) => None,
        }
    }
}

impl PartialEq for Site {
    fn eq(&self, other: &Site) -> bool {
        match (*self, *other) {
            (Site::Port, Site::Port) => true,
            (Site::Image(a), Site::Image(b)) => a == b,
            // One place has mostly one address, and others are mostly in other lines.
            (Site::Source(a), Site::Source(b)) => {
                core::ptr::eq(a, b)
                    || a.line() == b.line() && a.column() == b.column() && a.file() == b.file()
            }
            _ => self.source().is_some_and(|source| other.source() == Some(source)),
        }
    }
}

impl Eq for Site {}
