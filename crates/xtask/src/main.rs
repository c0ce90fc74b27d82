//! Developer commands of this repository, run as `cargo xtask <command>`.

use clap::Parser;

/// Developer commands of this repository.
#[derive(Parser)]
#[command(name = "cargo xtask", arg_required_else_help = true)]
struct Cli {}

fn main() {
    Cli::parse();
}
