//! Power cuts: S1 and S2 of the catalogue of faults.
//!
//! Everything that reaches the disk is recorded. An image of what a power cut leaves is built by cutting the record
//! anywhere: what a sync followed is there, of the rest each sector of 512 bytes is there or not, and so is each change of
//! the length. The image is opened the way any store is. It must hold what it held after some commit: at least the last
//! that was reported, at most the last that was begun. Then power is cut again while that opening repairs.

use std::time::Instant;

use rejoin_core::store::MemoryStore;
use rejoin_net::store::{OpenOptions, RedbStore};

use crate::conformance::open;
use crate::disk::{Event, TestDisk};
use crate::script::{Random, amount, commits, contents, models};

const SECTOR_BYTES: usize = 512;

/// A disk before, and what was done to it.
struct Record {
    before: Vec<u8>,
    events: Vec<Event>,
    /// (number of events, disk) at each sync.
    synced: Vec<(usize, Vec<u8>)>,
    /// The first and the last commit that the disk may hold, before the events.
    range: (usize, usize),
}

impl Record {
    fn new(before: Vec<u8>, events: Vec<Event>, range: (usize, usize)) -> Self {
        let mut disk = before.clone();
        let mut synced = vec![(0, before.clone())];
        for (at, event) in events.iter().enumerate() {
            match event {
                Event::Write(offset, data) => disk[*offset..offset + data.len()].copy_from_slice(data),
                Event::SetLen(len) => disk.resize(*len, 0),
                Event::Sync => synced.push((at + 1, disk.clone())),
                Event::Started(_) | Event::Acked(_) => {}
            }
        }
        Self { before, events, synced, range }
    }

    /// What a power cut before event `cut` leaves, and which commits it may hold.
    fn cut(&self, cut: usize, random: &mut Random) -> (Vec<u8>, (usize, usize)) {
        let synced = self.synced.iter().rev().find(|(at, _)| *at <= cut);
        let (from, mut disk) = synced.cloned().unwrap_or_else(|| (0, self.before.clone()));
        // How much of what is not synced is kept, in tenths; 0 keeps or drops each change as a whole.
        let kept = [1, 5, 9, 0][random.below(4)];
        for event in &self.events[from..cut] {
            let whole = random.below(2) == 0;
            match event {
                Event::Write(offset, data) => {
                    for (number, sector) in data.chunks(SECTOR_BYTES).enumerate() {
                        let keep = if kept == 0 { whole } else { random.below(10) < kept };
                        let at = offset + number * SECTOR_BYTES;
                        // What lies behind an end that was not moved is lost with it.
                        if let (true, Some(place)) = (keep, disk.get_mut(at..at + sector.len())) {
                            place.copy_from_slice(sector);
                        }
                    }
                }
                Event::SetLen(len) if whole => disk.resize(*len, 0),
                Event::SetLen(_) | Event::Sync | Event::Started(_) | Event::Acked(_) => {}
            }
        }
        let mut range = self.range;
        for event in &self.events[..cut] {
            match event {
                Event::Started(number) => range.1 = *number,
                Event::Acked(number) => range.0 = *number,
                Event::Write(..) | Event::SetLen(_) | Event::Sync => {}
            }
        }
        (disk, range)
    }
}

/// A script, recorded: opened, written, closed, and that again.
fn recorded(models: &[MemoryStore], syncs_lie: bool) -> Record {
    let disk = TestDisk::new(Vec::new());
    open(&disk).0.close().unwrap();
    let before = disk.bytes();
    disk.state().events.clear();
    disk.state().syncs_lie = syncs_lie;
    let script = commits(models.len() - 1, SEED);
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

const SEED: u64 = 21;

/// Opens an image and compares; the record of that opening.
fn survives(image: Vec<u8>, range: (usize, usize), models: &[MemoryStore]) -> Result<Record, String> {
    let disk = TestDisk::new(image.clone());
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

/// Cuts `images` times; how many images were wrong, and the first of them in words.
fn explore(record: &Record, models: &[MemoryStore], images: usize) -> (usize, Option<String>) {
    let mut random = Random(SEED);
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
    let models = models(&commits(36, SEED));
    let record = recorded(&models, false);
    let images = amount("REJOIN_CRASH_IMAGES", 2_000);
    let start = Instant::now();
    let (wrong, first) = explore(&record, &models, images);
    println!("{images} images of {} events in {:?}: {wrong} wrong", record.events.len(), start.elapsed());
    assert_eq!(first, None);
}

#[test]
fn a_missing_sync_is_noticed() {
    let models = models(&commits(36, SEED));
    let (wrong, first) = explore(&recorded(&models, true), &models, 200);
    println!("without syncs {wrong} of 200 images are wrong: {first:?}");
    assert!(wrong > 0, "an explorer that finds nothing here proves nothing elsewhere");
}
