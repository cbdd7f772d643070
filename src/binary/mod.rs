//! Compiled drivers: a `.sys` file on the simulated machine.
//!
//! | file | what it holds |
//! | --- | --- |
//! | `watch` | what a thread that runs a driver tells the signal handlers |
//! | `fault` | the signal handlers: whose fault it is, and where to go on |
//! | `trap` | out of a signal handler and into a trapped instruction's emulation, and back |
//! | `emulate`, `mmio`, `arithmetic` | what a trapped instruction does |
//! | `register` | the driver's registers, as instructions name them |
#![cfg(all(target_arch = "x86_64", target_os = "linux"))]

mod arithmetic;
mod emulate;
pub mod fault;
mod mmio;
mod register;
mod trap;
pub mod watch;
