//! What a process asked of the system, in the order in which the system answered: the output of `strace`, read.

use std::collections::HashMap;
use std::path::Path;

/// One system call. `start` and `end` number the moments when it was entered and left: what ended before another
/// started had its effect before it.
#[derive(Clone, Debug)]
pub struct Call {
    /// Its name.
    pub name: String,
    /// Its arguments as `strace -yy` prints them: descriptors with their paths or addresses, data escaped.
    pub arguments: String,
    /// What it returned; `None` when it never did.
    pub result: Option<i64>,
    /// The thread.
    pub thread: String,
    /// When it was entered.
    pub start: usize,
    /// When it was left.
    pub end: usize,
}

impl Call {
    /// Whether it is one of these, and did what it was to do.
    #[must_use]
    pub fn is(&self, names: &[&str]) -> bool {
        names.contains(&&*self.name) && self.result.is_some_and(|result| result >= 0)
    }

    /// What its first descriptor is, as `-yy` prints it: a path, or an address.
    #[must_use]
    pub fn target(&self) -> &str {
        let Some((_, rest)) = self.arguments.split_once('<') else { return "" };
        // An address holds `->`; its end is `]>`.
        let end = if rest.starts_with("TCP") { rest.find("]>").map(|at| at + 1) } else { rest.find('>') };
        end.and_then(|end| rest.get(..end)).unwrap_or_default()
    }

    /// Whether it made what it wrote durable: its file's data, and what is needed to find it.
    #[must_use]
    pub fn syncs(&self, path: &Path) -> bool {
        self.is(&["fsync", "fdatasync"]) && Path::new(self.target()) == path
    }
}

/// The system calls that the checks need.
pub const TRACED: &str = "trace=read,readv,recvfrom,recvmsg,write,writev,sendto,sendmsg,pwrite64,pwritev,pwritev2,\
    fsync,fdatasync,rename,renameat,renameat2,openat,mkdir,mkdirat,io_uring_enter,sendfile,copy_file_range,link,linkat";

/// Reads what `strace -f -yy -o FILE` wrote.
#[must_use]
pub fn parse(text: &str) -> Vec<Call> {
    let mut calls: Vec<Call> = Vec::new();
    let mut open: HashMap<&str, usize> = HashMap::new();
    for (at, line) in text.lines().enumerate() {
        let Some((thread, rest)) = line.split_once(char::is_whitespace) else { continue };
        let rest = rest.trim_start();
        if let Some(resumed) = rest.strip_prefix("<... ") {
            let Some(index) = open.remove(thread) else { continue };
            let Some(call) = calls.get_mut(index) else { continue };
            let more = resumed.split_once(" resumed>").map_or("", |(_, more)| more);
            call.arguments.push_str(more);
            call.end = at;
            finish(call);
        } else if let Some((name, arguments)) = rest.split_once('(') {
            let (thread, name) = (thread.to_owned(), name.to_owned());
            let mut call =
                Call { name, arguments: arguments.to_owned(), result: None, thread, start: at, end: at };
            if let Some(begun) = call.arguments.strip_suffix(" <unfinished ...>") {
                call.arguments = begun.to_owned();
                call.end = usize::MAX;
                open.insert(line.split_whitespace().next().unwrap_or_default(), calls.len());
            } else {
                finish(&mut call);
            }
            calls.push(call);
        }
    }
    calls
}

/// Takes the result off the end of the arguments.
fn finish(call: &mut Call) {
    if let Some((arguments, result)) = call.arguments.rsplit_once(" = ") {
        call.result = result.split([' ', '<']).next().and_then(|number| number.parse().ok());
        call.arguments = arguments.trim_end().trim_end_matches(')').to_owned();
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::parse;

    #[test]
    fn calls_that_overlap_keep_their_order_and_their_results() {
        let calls = parse(
            "10 pwrite64(9</d/myelin.db-wal>, \"7\\177\\6 = x\", 24, 0) = 24\n\
             10 fdatasync(9</d/myelin.db-wal> <unfinished ...>\n\
             11 recvfrom(12<TCP:[127.0.0.1:1->127.0.0.1:2]>, \"PUT /a\", 10, 0, NULL, NULL) = 6\n\
             10 <... fdatasync resumed>)           = 0\n\
             11 writev(12<TCP:[127.0.0.1:1->127.0.0.1:2]>, [{iov_base=\"HTTP/1.1 200 OK\", iov_len=15}], 1) = 15\n\
             10 openat(AT_FDCWD</w>, \"x\", O_RDONLY) = -1 ENOENT (No such file or directory)\n\
             10 fsync(13</d> <unfinished ...>\n\
             10 +++ killed by SIGKILL +++\n",
        );
        let names: Vec<&str> = calls.iter().map(|call| &*call.name).collect();
        assert_eq!(names, ["pwrite64", "fdatasync", "recvfrom", "writev", "openat", "fsync"]);
        assert_eq!(
            calls.iter().map(|call| call.result).collect::<Vec<_>>(),
            [Some(24), Some(0), Some(6), Some(15), Some(-1), None]
        );
        assert!(calls[1].syncs(Path::new("/d/myelin.db-wal")));
        assert!(
            calls[1].start < calls[2].start && calls[1].end > calls[2].end && calls[1].end < calls[3].start
        );
        assert_eq!(calls[2].target(), "TCP:[127.0.0.1:1->127.0.0.1:2]");
        assert!(!calls[5].syncs(Path::new("/d")), "it never returned");
    }
}
