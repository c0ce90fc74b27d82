//! The house's rules as data. Change a rule here; the checks only apply it.

/// Where a crate stands. An arrow may only point down; see `ARCHITECTURE.md` and [`super::layers`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Layer {
    /// Pure logic: synchronous, deterministic, no clock, randomness, sockets, files or store.
    L0,
    /// What everything stands on: domain types, storage, the runtime.
    L1,
    /// Services. They never import each other.
    L2,
    /// Edges: HTTP, pages, the binary.
    L3,
    /// Tools and test support, never part of the shipped binary.
    Dev,
}

/// Every crate of the workspace by folder name, with its layer. A crate that is missing here is an error.
pub(crate) const LAYERS: &[(&str, Layer)] = &[
    ("pdu", Layer::L0),
    ("room-core", Layer::L0),
    ("fed-core", Layer::L0),
    ("sync-core", Layer::L0),
    ("oauth-core", Layer::L0),
    ("rtc-core", Layer::L0),
    ("language", Layer::L0),
    ("model", Layer::L1),
    ("runtime", Layer::L1),
    ("store", Layer::L1),
    ("store-sql", Layer::L1),
    ("timeline", Layer::L1),
    ("auth", Layer::L2),
    ("e2ee", Layer::L2),
    ("federation", Layer::L2),
    ("media", Layer::L2),
    ("notify", Layer::L2),
    ("rooms", Layer::L2),
    ("rtc", Layer::L2),
    ("search", Layer::L2),
    ("sync", Layer::L2),
    ("users", Layer::L2),
    ("api", Layer::L3),
    ("server", Layer::L3),
    ("web", Layer::L3),
    ("reliability", Layer::Dev),
    ("testkit", Layer::Dev),
    ("xtask", Layer::Dev),
];

/// A place where a ban does not hold (the beginning of a path), and why.
pub(crate) type Exception = (&'static str, &'static str);

/// How a ban recognises what it bans among the paths that code names (`a::b::c`).
pub(crate) enum Pattern {
    /// These segments in a row, anywhere in a path.
    Segments(&'static [&'static str]),
    /// A longer path that starts with this segment (a crate's name).
    Root(&'static str),
}

/// Something no code may name, outside the listed places.
pub(crate) struct Ban {
    pub(crate) patterns: &'static [Pattern],
    pub(crate) what: &'static str,
    pub(crate) instead: &'static str,
    pub(crate) except: &'static [Exception],
}

/// Only `runtime` reads the clock or makes randomness, so that everything above can be replayed.
const DETERMINISM_EXCEPTIONS: &[Exception] = &[
    ("crates/runtime/", "is where the clock and the source of randomness live"),
    ("crates/xtask/", "times steps and measures running servers from outside"),
    ("crates/reliability/", "kills and times a real server from outside"),
    ("bench/", "measures how long things take"),
    ("clients/", "drives a real server in real time, as users' clients do"),
];

/// Names that are banned in code: tests included, comments and strings not.
pub(crate) const BANS: &[Ban] = &[
    Ban {
        patterns: &[
            Pattern::Segments(&["Instant", "now"]),
            Pattern::Segments(&["SystemTime", "now"]),
            Pattern::Segments(&["UNIX_EPOCH", "elapsed"]),
            Pattern::Segments(&["Utc", "now"]),
            Pattern::Segments(&["Local", "now"]),
            Pattern::Segments(&["OffsetDateTime", "now_utc"]),
            Pattern::Segments(&["MilliSecondsSinceUnixEpoch", "now"]),
            Pattern::Segments(&["SecondsSinceUnixEpoch", "now"]),
        ],
        what: "reads the clock",
        instead: "take the time as a parameter (runtime's clock)",
        except: DETERMINISM_EXCEPTIONS,
    },
    Ban {
        patterns: &[
            Pattern::Root("rand"),
            Pattern::Root("getrandom"),
            Pattern::Root("fastrand"),
            Pattern::Segments(&["thread_rng"]),
            Pattern::Segments(&["OsRng"]),
            Pattern::Segments(&["SysRng"]),
            Pattern::Segments(&["SystemRandom"]),
            Pattern::Segments(&["from_os_rng"]),
            Pattern::Segments(&["from_entropy"]),
            Pattern::Segments(&["Uuid", "new_v4"]),
            Pattern::Segments(&["Uuid", "now_v7"]),
            Pattern::Segments(&["Ulid", "new"]),
        ],
        what: "makes its own randomness",
        instead: "take the random source as a parameter (runtime's rng)",
        except: DETERMINISM_EXCEPTIONS,
    },
    Ban {
        patterns: &[Pattern::Segments(&["verify_batch"])],
        what: "verifies ed25519 signatures in a batch, which can accept what single verification rejects",
        instead: "verify one by one, in parallel",
        except: &[],
    },
    Ban {
        patterns: &[
            Pattern::Segments(&["extract", "Query"]),
            Pattern::Segments(&["extract", "Path"]),
            Pattern::Segments(&["extract", "Json"]),
            Pattern::Segments(&["extract", "Form"]),
            Pattern::Segments(&["extract", "rejection"]),
        ],
        what: "answers what it can't read by itself, without an errcode",
        instead: "use the extractors of api's `args`, `body` and `object`",
        except: &[
            ("crates/api/src/args.rs", "is where their refusals become Matrix's"),
            ("crates/web/", "answers with pages"),
            ("crates/testkit/", "plays other services"),
        ],
    },
];

/// What production code of an L0 crate may not name.
pub(crate) const L0_BANS: &[Ban] = &[
    Ban {
        patterns: &[
            Pattern::Segments(&["std", "fs"]),
            Pattern::Segments(&["TcpListener"]),
            Pattern::Segments(&["TcpStream"]),
            Pattern::Segments(&["ToSocketAddrs"]),
            Pattern::Segments(&["UdpSocket"]),
            Pattern::Segments(&["UnixStream"]),
        ],
        what: "an L0 crate touches the outside world",
        instead: "return what is to be done and let a service do it",
        except: &[],
    },
    Ban {
        patterns: &[
            Pattern::Segments(&["std", "time", "Instant"]),
            Pattern::Segments(&["std", "time", "SystemTime"]),
        ],
        what: "an L0 crate uses a clock's type",
        instead: "take milliseconds or a Duration as a parameter",
        except: &[],
    },
];

/// Lints that every L0 crate denies at its root (outside tests): it must not panic on any input.
pub(crate) const L0_LINTS: &[&str] =
    &["expect_used", "indexing_slicing", "panic", "unreachable", "unwrap_used"];

/// Packages that no L0 crate may depend on (tests may, where they need it for comparison).
pub(crate) const L0_FORBIDDEN_PACKAGES: &[&str] = &[
    "async-std",
    "axum",
    "chrono",
    "fastrand",
    "fjall",
    "getrandom",
    "hickory-resolver",
    "hyper",
    "hyper-util",
    "mio",
    "object_store",
    "quinn",
    "rand",
    "redb",
    "reqwest",
    "rusqlite",
    "smol",
    "socket2",
    "sqlx",
    "tempfile",
    "time",
    "tokio",
    "tokio-postgres",
    "tokio-util",
    "tower",
    "tower-http",
    "uuid",
];

/// Packages that only these crates may depend on, tests included, and why.
pub(crate) const RESERVED_PACKAGES: &[(&str, &[&str], &str)] = &[
    ("fastrand", &["runtime"], "take the random source as a parameter (runtime's rng)"),
    ("getrandom", &["runtime"], "take the random source as a parameter (runtime's rng)"),
    ("rand", &["runtime"], "take the random source as a parameter (runtime's rng)"),
    ("rusqlite", &["store-sql"], "declare a keyspace and use the store's batches and reads"),
    ("tokio-postgres", &["store-sql"], "declare a keyspace and use the store's batches and reads"),
];

/// A feature of a package that nothing may turn on, and what to do instead.
pub(crate) const FORBIDDEN_FEATURES: &[(&str, &str, &str)] = &[
    ("ed25519-dalek", "batch", "verify signatures one by one, in parallel"),
    ("ruma", "rand", "make identifiers from runtime's rng"),
    ("ruma-common", "rand", "make identifiers from runtime's rng"),
];

/// Packages that may not be in the server's lock file: the server is free of OpenSSL.
pub(crate) const LOCKED_OUT: &[&str] = &["native-tls", "openssl", "openssl-sys", "tokio-native-tls"];

/// Folders where SQL may be written.
pub(crate) const SQL_PLACES: &[Exception] = &[(
    "crates/store-sql/",
    "is the one place that speaks SQL; everything else speaks keyspaces and batches",
)];

/// Most lines of production code in a file (what stands before its trailing test module).
pub(crate) const MAX_PRODUCTION_LINES: usize = 400;

/// Most lines in a file of tests.
pub(crate) const MAX_TEST_LINES: usize = 800;

/// The list of files that were too long when the rule began. It may only shrink.
pub(crate) const OVERSIZED_LIST: &str = "crates/xtask/oversized.txt";

/// First folders of absolute paths that only exist on a developer's machine.
pub(crate) const MACHINE_ROOTS: &[&str] = &["home", "root", "Users"];
