//! StorPort itself: the traits of [`storport`](crate::storport) over storport.sys and ntoskrnl.exe.
//!
//! A core that the simulated machine has tried becomes a Windows driver by being compiled over [`Port`]
//! instead of the machine's handle; nothing in the core changes.
//!
//! | file | what it is |
//! | --- | --- |
//! | `imports` | what storport.sys and ntoskrnl.exe export, and how it is linked |
//! | `port` | [`StorPort`](crate::storport::StorPort): exports called, inline routines of storport.h rebuilt |
//! | `executive` | [`Executive`](crate::storport::Executive) over the Ke routines |
//! | `kernel` | [`Kernel`]: Windows as the [checked layer](crate::checked) sees it |
//! | `start` | [`initialize`]: what DriverEntry does; [`panicked`], [`bug_check`], [`print`]: how a driver ends and speaks |
//!
//! Most of what a miniport calls is no export: storport.h defines it inline, over the two variadic exports
//! StorPortNotification and StorPortExtendedFunction, told apart by the codes of
//! [`storport::code`](crate::storport::code). `port` does what those inline routines do, with the same arguments in
//! the same order.
//!
//! # Register access
//!
//! StorPortReadRegisterUlong and StorPortWriteRegisterUlong are called as exports, although storport.h makes
//! loads and stores of them unless DISABLE_INLINE_REGISTER_ACCESS is defined. Both are legal on every Windows.
//! The calls cost some nanoseconds beside a register access of hundreds, and they are what lets a simulated
//! machine see a compiled driver's accesses without trapping them.
//!
//! # Linking
//!
//! The imports are declared here and resolved by the compiler (`raw-dylib`), so no import library and no WDK is
//! needed. With the feature `wdk` they are left to the linker, which finds them in the WDK's storport.lib and
//! ntoskrnl.lib; `driver/wdk` is built so, and holds the WDK's own declarations, by `wdk-sys`, against these.

mod executive;
mod imports;
mod kernel;
mod port;
mod start;

pub use kernel::{BUG_CHECK_VALUE, BUG_CHECK_VIOLATION, Kernel, WATCHED_MAX};
pub use port::Port;
pub use start::{BUG_CHECK_PANIC, bug_check, initialize, panicked, print};
