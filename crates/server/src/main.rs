//! The `myelin` program.

/// Password hashing takes and frees 19 MiB at a time on many threads, and every answer is made of small pieces: the
/// system's allocator keeps hundreds of megabytes of that after a burst, and costs a fifth of a page of history.
///
/// On Linux the allocator takes the place of the C library's (`override`), so that SQLite has it too, and Rust's own calls
/// reach it by `malloc`: its calls for aligned memory, which the crate's `GlobalAlloc` makes for everything, leave the fast path
/// for whatever is no power of two.
#[cfg(not(target_os = "linux"))]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    use_small_pages();
    allow_many_files();
    keep_allocator();
    myelin_server::cli::main()
}

/// Where the kernel backs whatever a program touches with pages of 2 MiB, the allocator's arenas make a server that has
/// done nothing 20 MB larger, and none of the loads in `docs/benchmarks.md` faster.
fn use_small_pages() {
    // Where the kernel refuses, the server is larger and works.
    #[cfg(target_os = "linux")]
    let _ = rustix::thread::disable_transparent_huge_pages(true);
}

/// Each waiting client is an open connection, and most systems start programs with 1,024 files although they may have many
/// more if they ask.
fn allow_many_files() {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
        let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
        // Where the kernel refuses, connections beyond the limit are.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    }
}

/// Nothing else names the allocator where it replaces the C library's, and what nobody names is not linked.
fn keep_allocator() {
    std::hint::black_box(mimalloc::MiMalloc.version());
}
