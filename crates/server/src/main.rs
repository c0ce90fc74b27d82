//! The `myelin` program.

/// Password hashing takes and frees 19 MiB at a time on many threads, and every answer is made of small pieces: the
/// system's allocator keeps hundreds of megabytes of that after a burst, and costs a fifth of a page of history.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    use_small_pages();
    myelin_server::cli::main()
}

/// Where the kernel backs whatever a program touches with pages of 2 MiB, the allocator's arenas make a server that has
/// done nothing 20 MB larger, and none of the loads in `docs/benchmarks.md` faster.
fn use_small_pages() {
    // Where the kernel refuses, the server is larger and works.
    #[cfg(target_os = "linux")]
    let _ = rustix::thread::disable_transparent_huge_pages(true);
}
