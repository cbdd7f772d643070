//! ETW events as tracerpt writes them
//! (<https://learn.microsoft.com/windows-server/administration/windows-commands/tracerpt_1>).
//!
//! tracerpt writes UTF-16LE with a byte order mark for some options and versions and UTF-8 for others; both are
//! read. Which events say what is in `trace::etw`.

pub mod csv;
pub mod xml;
