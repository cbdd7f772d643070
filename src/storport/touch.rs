//! How a driver touches memory that several processors reach.

use core::fmt;

/// How memory is touched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "host", derive(serde::Serialize, serde::Deserialize))]
#[repr(u8)]
pub enum Touch {
    /// A plain load.
    Read,
    /// A plain store.
    Write,
    /// A load that cannot be torn, after which comes what follows it: a volatile one, as Microsoft's compiler makes
    /// it, or one with acquire semantics.
    Load,
    /// A store that cannot be torn, before which comes what precedes it.
    Store,
    /// An interlocked operation: both at once.
    Interlocked,
    /// A load that cannot be torn and orders nothing.
    LoadRelaxed,
    /// A store that cannot be torn and orders nothing.
    StoreRelaxed,
    /// An interlocked operation that orders nothing else.
    InterlockedRelaxed,
}

impl Touch {
    /// Whether the memory may be different afterwards.
    #[must_use]
    pub const fn writes(self) -> bool {
        !matches!(self, Touch::Read | Touch::Load | Touch::LoadRelaxed)
    }

    /// Whether it needs no lock beside others of its kind.
    #[must_use]
    pub const fn is_atomic(self) -> bool {
        !matches!(self, Touch::Read | Touch::Write)
    }

    /// Whether what follows it comes after what preceded the store that it sees.
    #[must_use]
    pub const fn acquires(self) -> bool {
        matches!(self, Touch::Load | Touch::Interlocked)
    }

    /// Whether what precedes it comes before what follows the load that sees it.
    #[must_use]
    pub const fn releases(self) -> bool {
        matches!(self, Touch::Store | Touch::Interlocked)
    }

    /// What it is called in what people read.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Touch::Read => "read",
            Touch::Write => "write",
            Touch::Load => "atomic read",
            Touch::Store => "atomic write",
            Touch::Interlocked => "interlocked",
            Touch::LoadRelaxed => "relaxed read",
            Touch::StoreRelaxed => "relaxed write",
            Touch::InterlockedRelaxed => "relaxed interlocked",
        }
    }
}

impl fmt::Display for Touch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
