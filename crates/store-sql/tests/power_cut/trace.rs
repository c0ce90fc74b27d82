//! The log of strace.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// Something the traced process did to its folder. Paths are relative to it.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    /// Opened a file, which made it where it was not.
    Create(PathBuf),
    Write {
        path: PathBuf,
        offset: usize,
        bytes: Vec<u8>,
    },
    Truncate {
        path: PathBuf,
        len: usize,
    },
    /// A sync of a file, or of the folder (the empty path), began; what came before is durable when it ended.
    SyncBegan {
        path: PathBuf,
        call: usize,
    },
    Sync {
        path: PathBuf,
        call: usize,
    },
    Unlink(PathBuf),
    Rename {
        from: PathBuf,
        to: PathBuf,
    },
    /// The process said something about a commit.
    Acknowledged(String),
}

/// Reads the log; only what happened under `root` counts.
pub(crate) fn read(log: &Path, root: &Path) -> Vec<Event> {
    let text = std::fs::read_to_string(log).unwrap();
    let mut events = Vec::new();
    let mut unfinished: HashMap<&str, (String, usize)> = HashMap::new();
    for (number, line) in text.lines().enumerate() {
        let (process, rest) = line.split_once(' ').unwrap();
        let rest = rest.trim_start();
        let (call, began) = if let Some(begun) = rest.strip_suffix("<unfinished ...>") {
            if begun.contains("sync(") {
                events.extend(parse(begun, root, number).and_then(began_only));
            }
            unfinished.insert(process, (begun.trim_end().to_owned(), number));
            continue;
        } else if rest.starts_with("<...") {
            let (mut begun, at) = unfinished.remove(process).unwrap();
            begun.push_str(rest.split_once("resumed>").unwrap().1);
            (begun, Some(at))
        } else {
            (rest.to_owned(), None)
        };
        let Some((_, result)) = call.rsplit_once(" = ") else { continue };
        if result.starts_with('-') || result.starts_with('?') {
            continue;
        }
        let event = parse(&call, root, began.unwrap_or(number));
        if began.is_none() {
            events.extend(event.clone().and_then(began_only));
        }
        events.extend(event);
    }
    events
}

fn began_only(event: Event) -> Option<Event> {
    match event {
        Event::Sync { path, call } => Some(Event::SyncBegan { path, call }),
        _ => None,
    }
}

fn parse(call: &str, root: &Path, number: usize) -> Option<Event> {
    let (name, arguments) = call.split_once('(')?;
    let arguments = arguments.rsplit_once(" = ").map_or(arguments, |(arguments, _)| arguments);
    let arguments = arguments.trim_end().trim_end_matches(')');
    let arguments: Vec<&str> = arguments.split(", ").collect();
    let inside = |path: PathBuf| path.strip_prefix(root).ok().map(Path::to_owned);
    // The file that a descriptor stands for: `5<\x2f...>`, the path in hexadecimal digits.
    let of = |n: usize| {
        let argument = arguments.get(n)?;
        inside(path(argument.split_once('<')?.1.split('>').next()?))
    };
    let named = |n: usize| inside(path(arguments.get(n)?.trim_matches('"')));
    let int = |n: usize| arguments[n].parse::<usize>().unwrap();
    match name {
        "openat" if arguments.iter().any(|argument| argument.contains("O_CREAT")) => {
            assert!(
                !arguments[2].contains("O_TRUNC") || named(1).is_none_or(|path| is_answers(&path)),
                "a file is truncated"
            );
            named(1).filter(watched).map(Event::Create)
        }
        "pwrite64" => {
            let path = of(0).filter(watched)?;
            Some(Event::Write { path, offset: int(3), bytes: bytes(arguments[1].trim_matches('"')) })
        }
        "write" => {
            let path = of(0)?;
            assert!(is_answers(&path), "only answers are written without an offset");
            Some(Event::Acknowledged(String::from_utf8(bytes(arguments[1].trim_matches('"'))).unwrap()))
        }
        "ftruncate" => of(0).filter(watched).map(|path| Event::Truncate { path, len: int(1) }),
        "fsync" | "fdatasync" => of(0).filter(watched).map(|path| Event::Sync { path, call: number }),
        "unlink" => named(0).filter(watched).map(Event::Unlink),
        "unlinkat" => named(1).filter(watched).map(Event::Unlink),
        "rename" => Some(Event::Rename { from: named(0)?, to: named(1)? }),
        "mmap" => {
            let mapped = of(4).filter(watched);
            assert!(mapped.is_none(), "{mapped:?} is mapped: its writes would not be seen");
            None
        }
        "openat" => None,
        other => {
            assert!(of(0).is_none(), "the replay does not know {other}");
            None
        }
    }
}

fn is_answers(path: &Path) -> bool {
    path == Path::new("answers")
}

/// Everything but the answers and what SQLite makes again after a crash anyway, the index of its log.
fn watched(path: &PathBuf) -> bool {
    path != Path::new("answers") && !path.to_string_lossy().ends_with("-shm")
}

fn path(hex: &str) -> PathBuf {
    PathBuf::from(String::from_utf8(bytes(hex)).unwrap())
}

/// Decodes `\x2f\x74`.
fn bytes(hex: &str) -> Vec<u8> {
    assert!(!hex.ends_with('.'), "strace cut a string short");
    hex.split("\\x").skip(1).map(|digits| u8::from_str_radix(digits, 16).unwrap()).collect()
}
