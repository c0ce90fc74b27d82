//! fjall: one keyspace of bytes, with the transactions of its single writer.

use std::path::Path;

use anyhow::Result;
use fjall::{
    KeyspaceCreateOptions, PersistMode, Readable, SingleWriterTxDatabase, SingleWriterTxKeyspace,
    SingleWriterWriteTx, Snapshot,
};

use crate::ordered::{Each, Kv, KvRead, KvWrite};

pub struct Fjall {
    database: SingleWriterTxDatabase,
    pairs: SingleWriterTxKeyspace,
}

impl Kv for Fjall {
    type Read = View;

    fn open(path: &Path) -> Result<Self> {
        let database = SingleWriterTxDatabase::builder(path).cache_size(16 << 20).open()?;
        // The default is 64 MiB of memory before it is written out; this is what the server could spare.
        let options = || KeyspaceCreateOptions::default().max_memtable_size(8 << 20);
        let pairs = database.keyspace("pairs", options)?;
        Ok(Self { database, pairs })
    }

    fn write(&self, change: &mut dyn FnMut(&mut dyn KvWrite) -> Result<()>) -> Result<()> {
        let mut pairs = Pairs {
            write: self.database.write_tx().durability(Some(PersistMode::SyncData)),
            of: &self.pairs,
        };
        change(&mut pairs)?;
        Ok(pairs.write.commit()?)
    }

    fn read(&self) -> Result<View> {
        Ok(View { snapshot: self.database.read_tx(), pairs: self.pairs.clone() })
    }
}

pub struct View {
    snapshot: Snapshot,
    pairs: SingleWriterTxKeyspace,
}

impl KvRead for View {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        Ok(self.snapshot.get(&self.pairs, key)?.map(|value| value.to_vec()))
    }

    fn range(&self, lower: &[u8], upper: &[u8], backward: bool, each: &mut Each<'_>) -> Result<()> {
        let mut range = self.snapshot.range(&self.pairs, lower..upper);
        while let Some(pair) = if backward { range.next_back() } else { range.next() } {
            let (key, value) = pair.into_inner()?;
            if !each(&key, &value) {
                break;
            }
        }
        Ok(())
    }
}

struct Pairs<'t> {
    write: SingleWriterWriteTx<'t>,
    of: &'t SingleWriterTxKeyspace,
}

impl KvWrite for Pairs<'_> {
    fn get(&mut self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        Ok(self.write.get(self.of, key)?.map(|value| value.to_vec()))
    }

    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        self.write.insert(self.of, key, value);
        Ok(())
    }

    fn remove(&mut self, key: &[u8]) -> Result<()> {
        self.write.remove(self.of, key);
        Ok(())
    }

    fn keys(&mut self, lower: &[u8], upper: &[u8]) -> Result<Vec<Vec<u8>>> {
        if lower >= upper {
            return Ok(Vec::new());
        }
        self.write.range(self.of, lower..upper).map(|pair| Ok(pair.key()?.to_vec())).collect()
    }
}
