//! redb: one table of bytes.

use std::path::Path;

use anyhow::Result;
use redb::{Database, ReadOnlyTable, ReadableDatabase, ReadableTable, Table, TableDefinition};

use crate::ordered::{Each, Kv, KvRead, KvWrite};

const PAIRS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("pairs");

pub struct Redb(Database);

impl Kv for Redb {
    type Read = ReadOnlyTable<&'static [u8], &'static [u8]>;

    fn open(path: &Path) -> Result<Self> {
        // The default cache is 1 GiB; this is what the server could spare.
        let database = Database::builder().set_cache_size(16 << 20).create(path)?;
        let write = database.begin_write()?;
        write.open_table(PAIRS)?;
        write.commit()?;
        Ok(Self(database))
    }

    fn write(&self, change: &mut dyn FnMut(&mut dyn KvWrite) -> Result<()>) -> Result<()> {
        let mut write = self.0.begin_write()?;
        // As a server needs it: opening after a crash must not take as long as the store is large.
        write.set_quick_repair(std::env::var_os("REDB_QUICK_REPAIR").is_some());
        change(&mut Pairs(write.open_table(PAIRS)?))?;
        Ok(write.commit()?)
    }

    fn read(&self) -> Result<Self::Read> {
        Ok(self.0.begin_read()?.open_table(PAIRS)?)
    }
}

impl KvRead for ReadOnlyTable<&'static [u8], &'static [u8]> {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        Ok(ReadableTable::get(self, key)?.map(|value| value.value().to_vec()))
    }

    fn range(&self, lower: &[u8], upper: &[u8], backward: bool, each: &mut Each<'_>) -> Result<()> {
        let mut range = ReadableTable::range::<&[u8]>(self, lower..upper)?;
        while let Some(pair) = if backward { range.next_back() } else { range.next() } {
            let (key, value) = pair?;
            if !each(key.value(), value.value()) {
                break;
            }
        }
        Ok(())
    }
}

struct Pairs<'t>(Table<'t, &'static [u8], &'static [u8]>);

impl KvWrite for Pairs<'_> {
    fn get(&mut self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        Ok(self.0.get(key)?.map(|value| value.value().to_vec()))
    }

    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        Ok(self.0.insert(key, value).map(drop)?)
    }

    fn remove(&mut self, key: &[u8]) -> Result<()> {
        Ok(self.0.remove(key).map(drop)?)
    }

    fn keys(&mut self, lower: &[u8], upper: &[u8]) -> Result<Vec<Vec<u8>>> {
        if lower >= upper {
            return Ok(Vec::new());
        }
        self.0.range::<&[u8]>(lower..upper)?.map(|pair| Ok(pair?.0.value().to_vec())).collect()
    }
}
