//! Clients write without pause while the server is killed at random moments: what was acknowledged is there once.
//!
//! After each restart the writers are held at a gate until each has had its answer, repeating what it can repeat
//! safely; then nothing is in doubt, and all that was acknowledged is compared with what the server has and with what
//! syncing clients were told.

mod check;
mod keys;
mod ledger;
mod sessions;
mod walkers;
mod world;
mod writers;

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use myelin_reliability::{Myelin, Place, Session, note};
use myelin_runtime::Random;
use tokio::task::JoinSet;

use check::Check;
use walkers::Walker;
use world::World;

/// How often the server is killed, unless `TEST_KILLS` says otherwise.
const KILLS: u64 = 100;
/// How long the writers may take to come to rest after a restart.
const REST: Duration = Duration::from_secs(60);

/// A number from the environment.
fn set(name: &str) -> Result<Option<u64>> {
    let Some(value) = std::env::var_os(name) else { return Ok(None) };
    let number = value.to_str().and_then(|value| value.parse().ok());
    Ok(Some(number.with_context(|| format!("{name} must be a number"))?))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_is_there_once_however_often_the_server_is_killed() -> Result<()> {
    let kills = set("TEST_KILLS")?.unwrap_or(KILLS);
    let seed = match set("TEST_SEED")? {
        Some(seed) => seed,
        None => u64::from_le_bytes(Random::from_entropy().bytes()),
    };
    note(&format!("TEST_SEED={seed} TEST_KILLS={kills}"));
    let random = Random::from_seed(seed);
    let begun = Instant::now();
    let folder = tempfile::tempdir()?;
    let server = Myelin::start(Place::new(folder.path())?).await?;
    let (world, walkers, mut check, mut tasks) = set_up(&server, seed).await?;
    let mut server = Some(server);
    let mut count = 0;
    while count < kills {
        tokio::time::sleep(pause(&random)).await;
        fail_early(&mut tasks)?;
        world.killing();
        let mut place = server.take().context("the server runs")?.kill().await?;
        count += 1;
        // Now and then it does not even come up before it is killed again.
        if random.below(8) == 0 {
            let starting = Myelin::spawn(place)?;
            tokio::time::sleep(Duration::from_millis(u64::from(random.below(80)))).await;
            place = starting.kill().await?;
            count += 1;
        }
        server = Some(Myelin::start(place).await?);
        world.restarted();
        let at_rest = tokio::time::timeout(REST, world.rest()).await;
        let at_rest = at_rest.with_context(|| format!("after kill {count}, some writer got no answer"))?;
        fail_early(&mut tasks)?;
        note(&format!("{count} kills: {}", check.summary(&world)));
        let thorough = count >= kills || count % 25 == 0;
        let checked = check.run(&world, &walkers, thorough).await;
        // What a task has found is the cause of what the check misses.
        fail_early(&mut tasks).with_context(|| walkers[1].summary())?;
        checked.with_context(|| format!("after kill {count}"))?;
        drop(at_rest);
    }
    world.stop();
    let log = server.as_ref().context("the server runs")?.place.log();
    let bad = log.lines().find(|line| line.contains("panicked") || line.contains("\"ERROR\""));
    assert!(bad.is_none(), "the server logged {bad:?}");
    note(&format!("{} kills in {:.1} s: {}", count, begun.elapsed().as_secs_f64(), check.summary(&world)));
    for walker in &walkers {
        note(&walker.summary());
    }
    check.assert_busy(&world);
    Ok(())
}

/// How long the server runs: often so briefly that it has hardly begun, sometimes long enough to tidy up.
fn pause(random: &Random) -> Duration {
    let most = match random.below(10) {
        0..=2 => 40,
        3..=8 => 600,
        _ => 1_500,
    };
    Duration::from_millis(u64::from(random.below(most)))
}

/// A writer or a walker that ended has found something.
fn fail_early(tasks: &mut JoinSet<Result<()>>) -> Result<()> {
    match tasks.try_join_next() {
        None => Ok(()),
        Some(Ok(Ok(()))) => bail!("a task ended before its time"),
        Some(Ok(Err(error))) => Err(error),
        Some(Err(panicked)) => Err(panicked.into()),
    }
}

type SetUp = (Arc<World>, Vec<Arc<Walker>>, Check, JoinSet<Result<()>>);

/// Makes users and rooms, and starts everybody.
async fn set_up(server: &Myelin, seed: u64) -> Result<SetUp> {
    let address = server.address();
    let mut people = Vec::new();
    for name in ["alice", "bob", "carol", "dave", "reader", "walker", "slider", "keeper"] {
        people.push(Session::register(address, name).await?);
    }
    let [alice, bob, carol, dave, reader, walker, slider, keeper] = &people[..] else {
        bail!("eight people")
    };
    let watchers = [reader, walker, slider];
    let first = alice.room_with(&[bob, watchers[0], watchers[1], watchers[2]]).await?;
    let second = carol.room_with(&[dave, alice, watchers[0], watchers[1], watchers[2]]).await?;
    let world = Arc::new(World::new(address));
    let mut tasks = JoinSet::new();
    for (session, room) in
        [(alice, &first), (bob, &first), (carol, &second), (dave, &second), (alice, &second)]
    {
        tasks.spawn(writers::send(Arc::clone(&world), session.clone(), room.clone()));
    }
    tasks.spawn(writers::redact(Arc::clone(&world), alice.clone(), first.clone()));
    tasks.spawn(writers::change_state(Arc::clone(&world), carol.clone(), second.clone()));
    for room in [&first, &second] {
        tasks.spawn(writers::read(Arc::clone(&world), reader.clone(), room.clone()));
    }
    for sender in [alice, dave] {
        let to = [walker.clone(), slider.clone()];
        tasks.spawn(writers::send_to_devices(Arc::clone(&world), sender.clone(), to));
    }
    tasks.spawn(writers::store(Arc::clone(&world), bob.clone(), None));
    tasks.spawn(writers::store(Arc::clone(&world), carol.clone(), Some(second.clone())));
    tasks.spawn(writers::upload(Arc::clone(&world), bob.clone(), Random::from_seed(seed)));
    tasks.spawn(writers::make_rooms(Arc::clone(&world), keeper.clone()));
    tasks.spawn(keys::upload(Arc::clone(&world), keeper.clone()));
    for claimer in [alice, dave] {
        tasks.spawn(keys::claim(Arc::clone(&world), claimer.clone(), keeper.clone()));
    }
    tasks.spawn(sessions::come_and_go(Arc::clone(&world), "dave"));
    let v3 = Walker::new("/v3/sync", walker.clone());
    let sliding = Walker::new("sliding sync", slider.clone());
    tasks.spawn(Arc::clone(&v3).walk_v3(Arc::clone(&world)));
    tasks.spawn(Arc::clone(&sliding).walk_sliding(Arc::clone(&world)));
    let check = Check::new(reader, keeper, [first, second]);
    Ok((world, vec![v3, sliding], check, tasks))
}
