//! The loader of compiled drivers: what it refuses and why, what it makes of a file, and that no file makes it
//! read or write where it should not.
#![cfg(all(target_arch = "x86_64", target_os = "linux"))]

mod compiled;
mod file;
mod mapped;
mod refused;
