//! Tells the linker that this is a driver: native subsystem, DriverEntry, no C runtime, the same bytes every time.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let target = std::env::var("TARGET").unwrap_or_default();
    if target != "x86_64-pc-windows-msvc" {
        return;
    }
    for argument in [
        "/DRIVER",
        "/SUBSYSTEM:NATIVE",
        "/ENTRY:DriverEntry",
        "/NODEFAULTLIB",
        "/OPT:REF,ICF",
        "/Brepro",
        "/PDBALTPATH:nvme.pdb",
    ] {
        println!("cargo::rustc-cdylib-link-arg={argument}");
    }
}
