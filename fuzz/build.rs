//! Tells the code what is built in, because stable Rust cannot ask: AddressSanitizer, and the compiler's coverage
//! counters. Lets the targets that run a driver take the compiler's tracing of compares out.

use std::env::var;

/// Targets that run a driver, and say `ignore_compares!`.
const DRIVERS: [&str; 3] = ["nvme", "interrupts", "lifecycle"];

fn main() {
    println!("cargo::rustc-check-cfg=cfg(address_sanitizer)");
    println!("cargo::rustc-check-cfg=cfg(coverage_counters)");
    let sanitizers = var("CARGO_CFG_SANITIZE").unwrap_or_default();
    if sanitizers.split(',').any(|name| name == "address") {
        println!("cargo::rustc-cfg=address_sanitizer");
    }
    let on_linux = var("CARGO_CFG_TARGET_OS").as_deref() == Ok("linux");
    let flags = var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default();
    if !on_linux || !flags.contains("sanitizer-coverage-inline-8bit-counters") {
        return;
    }
    println!("cargo::rustc-cfg=coverage_counters");
    for driver in DRIVERS {
        // Both libFuzzer and the target define what the compiler calls at compares; the linker comes upon the target's
        // first, and takes that.
        println!("cargo::rustc-link-arg-bin={driver}=-Wl,--allow-multiple-definition");
    }
}
