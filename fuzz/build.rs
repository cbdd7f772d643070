//! Tells the code whether AddressSanitizer is built in: stable Rust cannot ask.

fn main() {
    println!("cargo::rustc-check-cfg=cfg(address_sanitizer)");
    let sanitizers = std::env::var("CARGO_CFG_SANITIZE").unwrap_or_default();
    if sanitizers.split(',').any(|name| name == "address") {
        println!("cargo::rustc-cfg=address_sanitizer");
    }
}
