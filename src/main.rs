//! The `backstay` program; everything is in the library.

fn main() -> std::process::ExitCode {
    backstay::cli::main()
}
