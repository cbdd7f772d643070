#![cfg(all(target_arch = "x86_64", target_os = "linux"))]
