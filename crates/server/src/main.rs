//! The `myelin` program.

fn main() -> std::process::ExitCode {
    myelin_server::cli::main()
}
