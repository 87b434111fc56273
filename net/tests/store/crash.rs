//! Power cuts: S1 and S2 of the catalogue of faults.
//!
//! Everything that reaches the disk is recorded. An image of what a power cut leaves is built by cutting the record
//! anywhere: what a sync followed is there, of the rest each sector of 512 bytes is there or not, and so is each change of
//! the length. The image is opened the way any store is. It must hold what it held after some commit: at least the last
//! that was reported, at most the last that was begun. Then power is cut again while that opening repairs.

use std::thread;
use std::time::Instant;

use rejoin_core::store::MemoryStore;
use rejoin_net::store::{OpenOptions, RedbStore};

use crate::conformance::open;
use crate::disk::{Event, Pages, TestDisk};
use crate::script::{Random, amount, commits, contents, models};

const SECTOR_BYTES: usize = 512;

/// A disk before, and what was done to it.
struct Record {
    events: Vec<Event>,
    /// (number of events, disk) at the start and at each sync.
    synced: Vec<(usize, Pages)>,
    /// The first and the last commit that the disk may hold, before the events.
    range: (usize, usize),
}

impl Record {
    fn new(before: Pages, events: Vec<Event>, range: (usize, usize)) -> Self {
        let mut disk = before.clone();
        let mut synced = vec![(0, before)];
        for (at, event) in events.iter().enumerate() {
            match event {
                Event::Write(offset, data) => disk.write(*offset, data),
                Event::SetLen(len) => disk.resize(*len),
                Event::Sync => synced.push((at + 1, disk.clone())),
                Event::Started(_) | Event::Acked(_) => {}
            }
        }
        Self { events, synced, range }
    }

    /// What a power cut before event `cut` leaves, and which commits it may hold.
    fn cut(&self, cut: usize, random: &mut Random) -> (Pages, (usize, usize)) {
        let synced = self.synced.partition_point(|(at, _)| *at <= cut) - 1;
        let (from, mut disk) = self.synced[synced].clone();
        // How much of what is not synced is kept, in tenths; 0 keeps or drops each change as a whole.
        let kept = [1, 5, 9, 0][random.below(4)];
        for event in &self.events[from..cut] {
            let whole = random.below(2) == 0;
            match event {
                Event::Write(offset, data) if kept == 0 && whole => disk.write(*offset, data),
                Event::Write(offset, data) if kept > 0 => {
                    for (number, sector) in data.chunks(SECTOR_BYTES).enumerate() {
                        // What lies behind an end that was not moved is lost with it.
                        if random.below(10) < kept {
                            disk.write(*offset + number * SECTOR_BYTES, sector);
                        }
                    }
                }
                Event::SetLen(len) if whole => disk.resize(*len),
                Event::Write(..) | Event::SetLen(_) | Event::Sync | Event::Started(_) | Event::Acked(_) => {}
            }
        }
        let mut range = self.range;
        for event in self.events[..cut].iter().rev() {
            match event {
                Event::Started(number) => range.1 = range.1.max(*number),
                Event::Acked(number) => {
                    // What was begun before that is at most as far.
                    range = (*number, range.1.max(*number));
                    break;
                }
                Event::Write(..) | Event::SetLen(_) | Event::Sync => {}
            }
        }
        (disk, range)
    }
}

/// A script, recorded: opened, written, closed, and that again.
fn recorded(models: &[MemoryStore], seed: u64, syncs_lie: bool) -> Record {
    let disk = TestDisk::new(Vec::new());
    open(&disk).0.close().unwrap();
    let before = disk.state().pages.clone();
    disk.state().events.clear();
    disk.state().syncs_lie = syncs_lie;
    let script = commits(models.len() - 1, seed);
    for part in script.chunks(12) {
        let (store, writer) = open(&disk);
        for commit in part {
            let number = usize::try_from(commit.id).unwrap() + 1;
            disk.note(Event::Started(number));
            writer.commit(commit).unwrap();
            disk.note(Event::Acked(number));
        }
        drop((store, writer));
    }
    let events = std::mem::take(&mut disk.state().events);
    Record::new(before, events, (0, 0))
}

/// Opens an image and compares; the record of that opening.
fn survives(image: Pages, range: (usize, usize), models: &[MemoryStore]) -> Result<Record, String> {
    let disk = TestDisk::of(image.clone());
    let (store, writer) = RedbStore::open_with_backend(disk.clone(), &OpenOptions::default())
        .map_err(|error| error.to_string())?;
    let found = contents(&store).map_err(|error| error.to_string())?;
    drop((store, writer));
    if !models[range.0..=range.1].contains(&found) {
        let held = models.iter().position(|model| *model == found);
        return Err(format!("holds commit {held:?}, not one of {range:?}"));
    }
    let events = std::mem::take(&mut disk.state().events);
    Ok(Record::new(image, events, range))
}

/// Cuts `images` times, on all cores; how many images were wrong, and one of them in words.
fn explore(record: &Record, models: &[MemoryStore], images: usize, seed: u64) -> (usize, Option<String>) {
    let threads = thread::available_parallelism().map_or(1, usize::from).min(images);
    // The shares of the threads add up to all of them.
    let share = |thread: usize| images * (thread + 1) / threads - images * thread / threads;
    let found = thread::scope(|scope| {
        let run = |thread| {
            scope.spawn(move || explore_some(record, models, share(thread), seed.wrapping_add(thread as u64)))
        };
        let running: Vec<_> = (0..threads).map(run).collect();
        running.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
    });
    (found.iter().map(|(wrong, _)| wrong).sum(), found.into_iter().find_map(|(_, first)| first))
}

fn explore_some(
    record: &Record,
    models: &[MemoryStore],
    images: usize,
    seed: u64,
) -> (usize, Option<String>) {
    let mut random = Random(seed);
    let (mut wrong, mut first) = (0, None);
    let mut tried = 0;
    while tried < images {
        let cut = random.below(record.events.len() + 1);
        let (image, range) = record.cut(cut, &mut random);
        let mut result = survives(image, range, models);
        tried += 1;
        // Half of the images meet a second cut, half of those a third.
        while tried < images && random.below(2) == 0 {
            let Ok(again) = &result else { break };
            let (image, range) = again.cut(random.below(again.events.len() + 1), &mut random);
            result = survives(image, range, models);
            tried += 1;
        }
        if let Err(error) = result {
            wrong += 1;
            first.get_or_insert_with(|| format!("cut at {cut} of {}: {error}", record.events.len()));
        }
    }
    (wrong, first)
}

#[test]
fn a_power_cut_anywhere_loses_nothing_that_was_reported() {
    let seed = amount("REJOIN_SEED", 21) as u64;
    let models = models(&commits(36, seed));
    let record = recorded(&models, seed, false);
    let images = amount("REJOIN_CRASH_IMAGES", 50_000);
    let start = Instant::now();
    let (wrong, first) = explore(&record, &models, images, seed);
    println!("{images} images of {} events in {:?}: {wrong} wrong", record.events.len(), start.elapsed());
    assert_eq!(first, None);
}

#[test]
fn a_missing_sync_is_noticed() {
    let models = models(&commits(36, 21));
    let (wrong, first) = explore(&recorded(&models, 21, true), &models, 200, 21);
    println!("without syncs {wrong} of 200 images are wrong: {first:?}");
    assert!(wrong > 0, "an explorer that finds nothing here proves nothing elsewhere");
}
