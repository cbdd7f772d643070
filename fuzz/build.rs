//! Tells the code what is built in, because stable Rust cannot ask: AddressSanitizer, and the compiler's coverage
//! counters. Takes the compiler's tracing of compares out of the targets that run a driver.

use std::env::var;

/// Targets that run a driver.
const DRIVERS: [&str; 3] = ["nvme", "interrupts", "lifecycle"];

/// What the compiler's coverage instrumentation calls at compares and at indirect calls; `src/compares.rs` has what is
/// called instead.
const HOOKS: [&str; 10] = [
    "cmp1",
    "cmp2",
    "cmp4",
    "cmp8",
    "const_cmp1",
    "const_cmp2",
    "const_cmp4",
    "const_cmp8",
    "switch",
    "pc_indir",
];

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
    let architecture = var("CARGO_CFG_TARGET_ARCH").unwrap_or_default();
    if matches!(architecture.as_str(), "x86_64" | "aarch64") {
        for driver in DRIVERS {
            for hook in HOOKS {
                println!(
                    "cargo::rustc-link-arg-bin={driver}=-Wl,--wrap=__sanitizer_cov_trace_{hook}"
                );
            }
        }
    }
}
