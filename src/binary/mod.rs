//! A compiled driver on the machine: a Windows `.sys` for x86-64, mapped into this process and bound to win64
//! entry points that call the same [`Port`](crate::machine::Port) methods as a driver written in Rust.
//!
//! ```text
//! bytes -> Pe -> Image (mapped, relocated, bound, protected) -> DriverEntry -> snapshot -> run, restore, run ...
//! ```

pub mod error;
pub mod image;
pub mod pe;
pub mod symbols;
