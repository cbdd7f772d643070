//! Lets what `lockstorm-fuzz` defines for the compiler's instrumentation take the place of AFL's.

fn main() {
    if std::env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("linux") {
        // The linker comes upon it first, and takes that.
        println!("cargo::rustc-link-arg-bins=-Wl,--allow-multiple-definition");
    }
}
