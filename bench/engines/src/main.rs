//! Measures one engine: `engines <sqlite|redb|fjall> <measure> <empty folder>`.

#[cfg(any(feature = "redb", feature = "fjall"))]
mod keys;
mod measure;
#[cfg(feature = "fjall")]
mod on_fjall;
#[cfg(feature = "redb")]
mod on_redb;
#[cfg(any(feature = "redb", feature = "fjall"))]
mod ordered;
mod workload;

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use myelin_store::{Engine, Identity};

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [engine, measure, folder] = args.as_slice() else {
        bail!("usage: engines <sqlite|redb|fjall> <{}> <folder>", measure::NAMES)
    };
    let folder = Path::new(folder);
    std::fs::create_dir_all(folder).context("the folder can't be made")?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build()?;
    runtime.block_on(measure::run(measure, folder, || open(engine, folder)))
}

fn open(engine: &str, folder: &Path) -> Result<Arc<dyn Engine>> {
    let identity = Identity { server_name: "bench.example".to_owned() };
    Ok(match engine {
        #[cfg(feature = "sqlite")]
        "sqlite" | "sqlite-relaxed" => {
            let options = myelin_store_sql::SqliteOptions {
                extra_keyspaces: workload::KEYSPACES,
                durability: if engine == "sqlite" {
                    myelin_store_sql::DurabilityMode::Sync
                } else {
                    myelin_store_sql::DurabilityMode::Relaxed
                },
                ..Default::default()
            };
            Arc::new(myelin_store_sql::SqliteEngine::open(&folder.join("store.db"), &identity, options)?)
        }
        #[cfg(feature = "redb")]
        "redb" => ordered::<on_redb::Redb>(folder)?,
        #[cfg(feature = "fjall")]
        "fjall" => ordered::<on_fjall::Fjall>(folder)?,
        other => {
            let _unused = identity;
            bail!("{other} is no engine of this build")
        }
    })
}

#[cfg(any(feature = "redb", feature = "fjall"))]
fn ordered<K: ordered::Kv>(folder: &Path) -> Result<Arc<dyn Engine>> {
    Ok(Arc::new(ordered::OrderedEngine::open(K::open(&folder.join("store"))?, workload::KEYSPACES)?))
}

/// The adapters do what the contract says, where they are measured.
#[cfg(all(test, feature = "redb", feature = "fjall"))]
mod tests {
    use std::marker::PhantomData;
    use std::path::{Path, PathBuf};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use myelin_store::Engine;
    use myelin_store::conformance::{Factory, KEYSPACES};

    use super::ordered::{Kv, OrderedEngine};

    struct Adapter<K>(PathBuf, PhantomData<fn() -> K>);

    impl<K> Adapter<K> {
        fn new(name: &str) -> Self {
            static MADE: AtomicU32 = AtomicU32::new(0);
            let number = MADE.fetch_add(1, Ordering::Relaxed);
            let path = std::env::temp_dir().join(format!("engines-{name}-{}-{number}", std::process::id()));
            drop(std::fs::remove_dir_all(&path));
            std::fs::create_dir_all(&path).unwrap();
            Self(path, PhantomData)
        }
    }

    impl<K> Drop for Adapter<K> {
        fn drop(&mut self) {
            drop(std::fs::remove_dir_all(&self.0));
        }
    }

    impl<K: Kv> Factory for Adapter<K> {
        fn fresh(&self) -> Arc<dyn Engine> {
            Arc::new(OrderedEngine::open(K::open(&self.scratch()).unwrap(), KEYSPACES).unwrap())
        }

        fn reopen(&self, _engine: Arc<dyn Engine>) -> Option<Arc<dyn Engine>> {
            None
        }

        fn scratch(&self) -> PathBuf {
            let number = std::fs::read_dir(&self.0).unwrap().count();
            self.0.join(number.to_string())
        }

        fn restore(&self, _backup: &Path) -> Option<Arc<dyn Engine>> {
            None
        }
    }

    mod redb {
        myelin_store::conformance_suite! { super::Adapter::<crate::on_redb::Redb>::new("redb");
        a_snapshot_sees_one_moment, rows_come_back_as_they_were_put, ops_apply_in_order,
        a_range_delete_takes_what_the_scan_covers, scans_of_every_shape_agree_with_their_definition,
        placeholders_are_resolved_wherever_they_stand, positions_have_no_holes_and_follow_commit_order }
    }

    mod fjall {
        myelin_store::conformance_suite! { super::Adapter::<crate::on_fjall::Fjall>::new("fjall");
        a_snapshot_sees_one_moment, rows_come_back_as_they_were_put, ops_apply_in_order,
        a_range_delete_takes_what_the_scan_covers, scans_of_every_shape_agree_with_their_definition,
        placeholders_are_resolved_wherever_they_stand, positions_have_no_holes_and_follow_commit_order }
    }
}
