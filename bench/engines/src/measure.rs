//! The measures. Each prints one line a figure.

use std::fs::{File, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use myelin_model::{Fence, Shard};
use myelin_store::{Batch, Durability, Engine};

use crate::workload::{self, ROOMS, message, newest, whole_log};

pub const NAMES: &str = "fsync|open|commit1|commit32|fill:<messages>|read|mixed|pages|delete|backup";

pub async fn run(measure: &str, folder: &Path, open: impl Fn() -> Result<Arc<dyn Engine>>) -> Result<()> {
    let begun = Instant::now();
    if measure == "fsync" {
        return fsync(folder);
    }
    let engine = open()?;
    let opened = begun.elapsed();
    let newest = engine.snapshot().await?.scan_many(vec![workload::last()]).await?.concat().pop();
    let next =
        newest.map_or(1, |row| if let myelin_store::Datum::Int(event) = row[0] { event + 1 } else { 1 });
    match measure.split_once(':').unwrap_or((measure, "")) {
        ("open", _) => println!("open: {opened:?}"),
        ("commit1", _) => commit(&engine, next, 1, Duration::from_secs(8)).await?,
        ("commit32", _) => commit(&engine, next, 32, Duration::from_secs(8)).await?,
        ("fill", count) => fill(&engine, next, count.parse()?).await?,
        ("read", _) => read(&engine, Duration::from_secs(4)).await?,
        ("mixed", _) => mixed(&engine, next).await?,
        ("pages", _) => pages(&engine, next).await?,
        ("delete", _) => delete(&engine, next, folder).await?,
        ("backup", _) => backup(&engine, next, folder).await?,
        _ => bail!("measures: {NAMES}"),
    }
    memory()?;
    println!("disk: {} MiB", disk(folder)? >> 20);
    engine.close().await;
    Ok(())
}

/// What the disk itself takes: a write to the end of a file and its fdatasync.
fn fsync(folder: &Path) -> Result<()> {
    let mut file = OpenOptions::new().create(true).truncate(true).write(true).open(folder.join("raw"))?;
    for over in [false, true] {
        file.seek(SeekFrom::Start(0))?;
        let mut times = Times::default();
        for _ in 0..2000 {
            let begun = Instant::now();
            file.write_all(&[7; 8192])?;
            file.sync_data()?;
            times.add(begun);
        }
        times.print(if over { "fdatasync, 8 KiB over" } else { "fdatasync, 8 KiB appended" });
    }
    Ok(())
}

async fn commit(engine: &Arc<dyn Engine>, next: i64, writers: usize, time: Duration) -> Result<()> {
    let begun = Instant::now();
    let next = Arc::new(AtomicI64::new(next));
    let times = write_until(engine, &next, writers, move || begun.elapsed() >= time).await?;
    let rate = times.0.len() as f64 / begun.elapsed().as_secs_f64();
    println!("commits, {writers} writers: {rate:.0}/s");
    times.print("commit");
    Ok(())
}

/// Writers that each wait for their commit before the next one.
async fn write_until(
    engine: &Arc<dyn Engine>,
    next: &Arc<AtomicI64>,
    writers: usize,
    stop: impl Fn() -> bool + Clone + Send + 'static,
) -> Result<Times> {
    let tasks: Vec<_> = (0..writers)
        .map(|_| {
            let (engine, next, stop) = (Arc::clone(engine), Arc::clone(next), stop.clone());
            tokio::spawn(async move {
                let mut times = Times::default();
                while !stop() {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    let mut batch = message(&*engine, n);
                    batch.durability = Durability::MayLag;
                    let begun = Instant::now();
                    engine.commit(batch).await?;
                    times.add(begun);
                }
                anyhow::Ok(times)
            })
        })
        .collect();
    let mut all = Times::default();
    for task in tasks {
        all.0.extend(task.await??.0);
    }
    Ok(all)
}

async fn fill(engine: &Arc<dyn Engine>, next: i64, count: i64) -> Result<()> {
    let begun = Instant::now();
    let mut pending = FuturesUnordered::new();
    for n in next..next + count {
        pending.push(engine.commit(message(&**engine, n)));
        if pending.len() >= 512 {
            pending.next().await.context("none pending")??;
        }
    }
    while let Some(committed) = pending.next().await {
        committed?;
    }
    println!(
        "fill: {count} messages in {:?}, {:.0}/s",
        begun.elapsed(),
        count as f64 / begun.elapsed().as_secs_f64()
    );
    Ok(())
}

async fn read(engine: &Arc<dyn Engine>, time: Duration) -> Result<()> {
    let begun = Instant::now();
    let mut times = Times::default();
    let mut rows = 0;
    while begun.elapsed() < time {
        let begun = Instant::now();
        let snapshot = engine.snapshot().await?;
        rows += snapshot.scan_many(vec![newest(times.0.len() as i64)]).await?.concat().len();
        drop(snapshot);
        times.add(begun);
    }
    println!("rows a read: {}", rows / times.0.len().max(1));
    times.print("snapshot and scan of 100 rows");
    Ok(())
}

/// Two readers while 32 writers commit.
async fn mixed(engine: &Arc<dyn Engine>, next: i64) -> Result<()> {
    let stop = Arc::new(AtomicBool::new(false));
    let next = Arc::new(AtomicI64::new(next));
    let readers: Vec<_> = (0..2)
        .map(|_| {
            let (engine, stop) = (Arc::clone(engine), Arc::clone(&stop));
            tokio::spawn(async move {
                let mut times = Times::default();
                while !stop.load(Ordering::Relaxed) {
                    let begun = Instant::now();
                    let snapshot = engine.snapshot().await?;
                    snapshot.scan_many(vec![newest(times.0.len() as i64)]).await?;
                    drop(snapshot);
                    times.add(begun);
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                anyhow::Ok(times)
            })
        })
        .collect();
    let begun = Instant::now();
    let writes = write_until(engine, &next, 32, move || begun.elapsed() > Duration::from_secs(8)).await?;
    stop.store(true, Ordering::Relaxed);
    println!("commits, 32 writers: {:.0}/s", writes.0.len() as f64 / begun.elapsed().as_secs_f64());
    writes.print("commit beside two readers");
    let mut reads = Times::default();
    for reader in readers {
        reads.0.extend(reader.await??.0);
    }
    reads.print("snapshot and scan of 100 rows beside 32 writers");
    Ok(())
}

/// Reads of rooms at random, as a large store in little memory sees them, with one writer.
async fn pages(engine: &Arc<dyn Engine>, next: i64) -> Result<()> {
    let begun = Instant::now();
    let mut times = Times::default();
    let mut commits = Times::default();
    for n in 0.. {
        if begun.elapsed() > Duration::from_secs(15) {
            break;
        }
        let read = Instant::now();
        let snapshot = engine.snapshot().await?;
        let room = workload::scramble(n) % ROOMS;
        let from = workload::scramble(n + 7) % next.max(1);
        let scan = whole_log(room).from((myelin_model::Pos::new(from),));
        snapshot.scan_many(vec![myelin_store::Scan { limit: 100, ..scan }]).await?;
        drop(snapshot);
        times.add(read);
        if n % 20 == 0 {
            let write = Instant::now();
            engine.commit(message(&**engine, next + commits.0.len() as i64)).await?;
            commits.add(write);
        }
    }
    times.print("scan of 100 rows at a random place");
    commits.print("commit between them");
    Ok(())
}

/// Deletes the logs of half of the rooms, then waits for the space.
async fn delete(engine: &Arc<dyn Engine>, next: i64, folder: &Path) -> Result<()> {
    let before = disk(folder)?;
    let begun = Instant::now();
    let mut longest = Duration::ZERO;
    for room in 0..ROOMS {
        let shard = Shard::of("bench");
        let mut batch = Batch::new(Fence { shard, epoch: engine.epoch(shard) });
        batch.delete_range(whole_log(room));
        let one = Instant::now();
        engine.commit(batch).await?;
        longest = longest.max(one.elapsed());
    }
    println!("range delete of {ROOMS} logs: {:?}, the longest {longest:?}", begun.elapsed());
    println!("disk before: {} MiB, after: {} MiB", before >> 20, disk(folder)? >> 20);
    // A little use, as a server has it.
    for n in next..next + 5 {
        tokio::time::sleep(Duration::from_secs(6)).await;
        engine.commit(message(&**engine, n)).await?;
    }
    println!("disk 30 s later: {} MiB", disk(folder)? >> 20);
    Ok(())
}

async fn backup(engine: &Arc<dyn Engine>, next: i64, folder: &Path) -> Result<()> {
    let stop = Arc::new(AtomicBool::new(false));
    let next = Arc::new(AtomicI64::new(next));
    let writers = {
        let (engine, stop) = (Arc::clone(engine), Arc::clone(&stop));
        tokio::spawn(async move {
            let stopped = move || stop.load(Ordering::Relaxed);
            write_until(&engine, &next, 8, stopped).await
        })
    };
    let begun = Instant::now();
    let target = folder.join("backup");
    let result = engine.backup(target.clone()).await;
    let took = begun.elapsed();
    stop.store(true, Ordering::Relaxed);
    let times = writers.await??;
    match result {
        Ok(()) => println!("backup: {took:?}, {} MiB", disk(&target)? >> 20),
        Err(error) => {
            println!("backup: {error}: {:?}", std::error::Error::source(&error).map(ToString::to_string))
        }
    }
    times.print("commit beside the backup, 8 writers");
    Ok(())
}

/// Bytes on disk, as allocated.
fn disk(path: &Path) -> Result<u64> {
    use std::os::unix::fs::MetadataExt;
    let meta = match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(0),
        meta => meta?,
    };
    if !meta.is_dir() {
        return Ok(meta.blocks() * 512);
    }
    std::fs::read_dir(path)?.map(|entry| disk(&entry?.path())).sum()
}

fn memory() -> Result<()> {
    let status = std::io::read_to_string(File::open("/proc/self/status")?)?;
    for line in status
        .lines()
        .filter(|line| ["VmHWM", "VmRSS", "RssAnon", "RssFile"].iter().any(|name| line.starts_with(name)))
    {
        println!("{}", line.split_whitespace().collect::<Vec<_>>().join(" "));
    }
    Ok(())
}

#[derive(Default)]
struct Times(Vec<Duration>);

impl Times {
    fn add(&mut self, begun: Instant) {
        self.0.push(begun.elapsed());
    }

    fn print(mut self, what: &str) {
        self.0.sort_unstable();
        let at = |part: f64| self.0.get(((self.0.len() as f64) * part) as usize).copied().unwrap_or_default();
        println!(
            "{what}: {} times, median {:?}, p99 {:?}, longest {:?}",
            self.0.len(),
            at(0.5),
            at(0.99),
            at(0.99999)
        );
    }
}
