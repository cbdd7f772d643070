//! The command `lockstorm`; everything is in the library.

fn main() -> std::process::ExitCode {
    lockstorm::cli::main()
}
