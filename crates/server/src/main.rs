//! The `myelin` program.

/// Password hashing takes and frees 19 MiB at a time on many threads, and every answer is made of small pieces: the
/// system's allocator keeps hundreds of megabytes of that after a burst, and costs a fifth of a page of history.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    myelin_server::cli::main()
}
