//! A disk as pessimistic as POSIX allows: what is not synced may be there, or not, or in part, in any mixture.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use super::trace::Event;

/// What became of the writes that were not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    /// None reached the disk.
    Lost,
    /// All did: only the process died.
    Kept,
    /// The first ones did.
    Prefix,
    /// Any of them did.
    Reordered,
    /// Any of their sectors did.
    Torn,
}

impl Cut {
    pub(crate) const ALL: [Self; 5] = [Self::Lost, Self::Kept, Self::Prefix, Self::Reordered, Self::Torn];
}

const SECTOR: usize = 512;

/// A small generator, so that a seed means the same for ever.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
    }

    pub(crate) fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    fn coin(&mut self) -> bool {
        self.next().is_multiple_of(2)
    }
}

#[derive(Clone, Debug)]
enum Change {
    Write { offset: usize, bytes: Vec<u8> },
    Truncate(usize),
}

#[derive(Clone, Debug, Default)]
struct Inode {
    durable: Vec<u8>,
    pending: Vec<Change>,
}

#[derive(Clone, Debug)]
enum Entry {
    Made(PathBuf, usize),
    Gone(PathBuf),
}

/// The folder of the traced process.
#[derive(Debug, Default)]
pub(crate) struct Disk {
    inodes: Vec<Inode>,
    /// The names as the process sees them.
    names: BTreeMap<PathBuf, usize>,
    /// The names that are on disk, and the changes since.
    durable: BTreeMap<PathBuf, usize>,
    entries: Vec<Entry>,
    /// How much was pending when a sync began.
    syncing: HashMap<usize, (Option<usize>, usize)>,
}

impl Disk {
    pub(crate) fn apply(&mut self, event: &Event) {
        match event {
            Event::Create(path) => {
                if !self.names.contains_key(path) {
                    self.inodes.push(Inode::default());
                    self.name(path, self.inodes.len() - 1);
                }
            }
            Event::Write { path, offset, bytes } => {
                let write = Change::Write { offset: *offset, bytes: bytes.clone() };
                self.inode(path).pending.push(write);
            }
            Event::Truncate { path, len } => self.inode(path).pending.push(Change::Truncate(*len)),
            Event::SyncBegan { path, call } => {
                let began = match self.names.get(path) {
                    None => (None, self.entries.len()),
                    Some(inode) => (Some(*inode), self.inodes[*inode].pending.len()),
                };
                self.syncing.insert(*call, began);
            }
            Event::Sync { call, .. } => match self.syncing.remove(call).unwrap() {
                (None, count) => {
                    self.entries.drain(..count).for_each(|entry| enter(&mut self.durable, entry));
                }
                (Some(inode), count) => {
                    let Inode { durable, pending } = &mut self.inodes[inode];
                    pending.drain(..count.min(pending.len())).for_each(|change| change.apply(durable));
                }
            },
            Event::Unlink(path) => {
                self.names.remove(path);
                self.entries.push(Entry::Gone(path.clone()));
            }
            Event::Rename { from, to } => {
                let inode = self.names.remove(from).unwrap();
                self.name(to, inode);
                self.entries.push(Entry::Gone(from.clone()));
            }
            Event::Acknowledged(_) => {}
        }
    }

    fn name(&mut self, path: &Path, inode: usize) {
        self.names.insert(path.to_owned(), inode);
        self.entries.push(Entry::Made(path.to_owned(), inode));
    }

    fn inode(&mut self, path: &Path) -> &mut Inode {
        let number = self.names.get(path).unwrap_or_else(|| panic!("{path:?} was never made"));
        &mut self.inodes[*number]
    }

    /// Writes what a cut leaves to a real folder.
    pub(crate) fn leave(&self, cut: Cut, random: &mut Random, folder: &Path) {
        let mut names = self.durable.clone();
        let kept = match cut {
            Cut::Lost => 0,
            Cut::Kept => self.entries.len(),
            _ => random.below(self.entries.len() + 1),
        };
        self.entries[..kept].iter().for_each(|entry| enter(&mut names, entry.clone()));
        for (path, number) in names {
            let Inode { durable, pending } = &self.inodes[number];
            let mut bytes = durable.clone();
            let prefix = random.below(pending.len() + 1);
            for (n, change) in pending.iter().enumerate() {
                let reached = match cut {
                    Cut::Lost => false,
                    Cut::Kept => true,
                    Cut::Prefix => n < prefix,
                    Cut::Reordered | Cut::Torn => random.coin(),
                };
                match change {
                    Change::Write { offset, bytes: written } if cut == Cut::Torn => {
                        tear(*offset, written, random).for_each(|part| part.apply(&mut bytes));
                    }
                    change if reached => change.clone().apply(&mut bytes),
                    _ => {}
                }
            }
            std::fs::write(folder.join(path), bytes).unwrap();
        }
    }
}

fn enter(names: &mut BTreeMap<PathBuf, usize>, entry: Entry) {
    match entry {
        Entry::Made(path, inode) => names.insert(path, inode),
        Entry::Gone(path) => names.remove(&path),
    };
}

/// Some of the sectors that a write touches.
fn tear<'b>(offset: usize, bytes: &'b [u8], random: &'b mut Random) -> impl Iterator<Item = Change> + 'b {
    let first = (SECTOR - offset % SECTOR).min(bytes.len());
    let (head, tail) = bytes.split_at(first);
    let starts = std::iter::once(offset).chain((0..).map(move |n| offset + first + n * SECTOR));
    let parts = starts.zip(std::iter::once(head).chain(tail.chunks(SECTOR)));
    parts.filter(|_| random.coin()).map(|(offset, part)| Change::Write { offset, bytes: part.to_vec() })
}

impl Change {
    fn apply(self, to: &mut Vec<u8>) {
        match self {
            Self::Write { offset, bytes } => {
                let end = offset + bytes.len();
                if to.len() < end {
                    to.resize(end, 0);
                }
                to[offset..end].copy_from_slice(&bytes);
            }
            Self::Truncate(len) => to.resize(len, 0),
        }
    }
}
