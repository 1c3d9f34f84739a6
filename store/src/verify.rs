//! Looking at every byte: all checks that reading skips, and a repair that drops exactly what is damaged.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use crate::digest::CallKey;
use crate::disk::Disk;
use crate::error::Result;
use crate::evict::Eviction;
use crate::frame::{HEADER, Header, Kind};
use crate::reader::large;
use crate::record::{Record, clock_and_call};
use crate::segment::Segment;
use crate::table::Table;
use crate::upkeep::PATIENCE;
use crate::view::{segment_ids, table_ids};

/// Something that is not what it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// The file.
    pub path: PathBuf,
    /// Where in it.
    pub offset: u64,
    /// What is wrong.
    pub what: &'static str,
}

/// What verifying found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct VerifyReport {
    /// Live entries that are sound.
    pub sound: u64,
    /// Entries that were evicted and wait for compaction.
    pub dead: u64,
    /// Everything that is damaged.
    pub damage: Vec<Damage>,
    /// So much of it was dropped.
    pub repaired: u64,
}

impl Disk {
    /// See [`crate::Store::verify`].
    pub(crate) fn verify_all(&self, repair: bool) -> Result<VerifyReport> {
        let _lock = if repair {
            self.writable()?;
            Some(self.maintenance(PATIENCE)?)
        } else {
            None
        };
        self.refresh();
        let mut report = VerifyReport::default();
        let wrap = |e| crate::Error::io(&self.layout.root, e);
        let mut eviction = Eviction::default();
        let mut ids: Vec<_> = segment_ids(&self.layout).map_err(wrap)?.into_iter().collect();
        ids.sort_unstable();
        for id in ids {
            let segment = Arc::new(self.views.segment(id, 0));
            self.verify_segment(&segment, repair, &mut eviction, &mut report);
        }
        report.repaired += eviction.finish()?;
        if report.repaired > 0 {
            crate::aside::overrule(&self.layout).map_err(wrap)?;
        }
        let mut dropped = false;
        for id in table_ids(&self.layout).map_err(wrap)? {
            let path = id.path(&self.layout.tables);
            let open = Table::open(&self.layout.tables, id, |id| Arc::new(self.views.segment(id, 0)));
            let what = match open {
                Ok(Some(table)) => match wrong_entry(&table) {
                    None => continue,
                    Some(what) => what,
                },
                Ok(None) => "not a table of this store, or damaged",
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => continue,
                Err(_) => "can't be read",
            };
            report.damage.push(Damage { path: path.clone(), offset: 0, what });
            if repair && fs::remove_file(&path).is_ok() {
                // What it led to is found by scanning.
                report.repaired += 1;
                dropped = true;
            }
        }
        if dropped {
            self.announce().map_err(wrap)?;
            self.refresh();
        }
        Ok(report)
    }

    fn verify_segment(
        &self,
        segment: &Arc<Segment>,
        repair: bool,
        eviction: &mut Eviction,
        report: &mut VerifyReport,
    ) {
        let mut damage =
            |offset, what| report.damage.push(Damage { path: segment.path.clone(), offset, what });
        if segment.header().is_none() {
            damage(0, "no segment header");
        }
        let mut last = HEADER;
        let (mut sound, mut dead) = (0, 0);
        let scan = segment.scan(HEADER, &mut |offset, header, _| {
            if offset > last {
                damage(last, "no frame");
            }
            last = offset + header.total().unwrap_or(0);
            if !header.live {
                dead += 1;
                if !header.marked {
                    damage(offset, "the live marker is damaged");
                }
                return;
            }
            match self.wrong_frame(segment, offset, header) {
                None => sound += 1,
                Some(what) => {
                    damage(offset, what);
                    if repair {
                        if let Some(large) = large(segment, offset, header) {
                            let _ = fs::remove_file(large.path(&self.layout, &header.key));
                        }
                        eviction.kill(segment, offset);
                    }
                }
            }
        });
        match scan {
            // A writer may be in the middle of a frame; behind a dead one this is what a kill left.
            Ok(scan) if scan.length > scan.end && segment.is_sealed() => {
                damage(scan.end, "an unfinished frame, or no frame at all, at the end");
            }
            Ok(_) => {}
            Err(_) => damage(0, "can't be read"),
        }
        report.sound += sound;
        report.dead += dead;
    }

    fn wrong_frame(&self, segment: &Segment, offset: u64, header: &Header) -> Option<&'static str> {
        let Some(payload) = segment.payload(offset, header, true) else {
            return Some("the checksum does not hold");
        };
        match header.kind {
            Kind::Record => {
                let record = Record::decode(CallKey::new(header.key), &payload);
                let call = clock_and_call(&payload).map(|(_, call)| call);
                match record {
                    Some(record) if Some(record.identity.id()) == call => None,
                    _ => Some("not a record"),
                }
            }
            Kind::Large => match large(segment, offset, header) {
                None => Some("does not name a file"),
                Some(large) if !large.is_there(&self.layout, &header.key) => {
                    Some("its file is gone or has another size")
                }
                Some(large) if !large.is_whole(&self.layout, &header.key) => {
                    Some("its file's digest does not hold")
                }
                Some(_) => None,
            },
            Kind::Value | Kind::Note => None,
        }
    }
}

/// What is wrong with the entries of a table, if anything is. Entries of segments that are gone are in order.
fn wrong_entry(table: &Table) -> Option<&'static str> {
    use crate::tail::Class::{Call, Dependency, Function, Value};
    for class in [Value, Call, Dependency, Function] {
        let mut last = 0;
        for (lead, place) in table.entries(class, 0) {
            if lead < last {
                return Some("its entries are out of order");
            }
            last = lead;
            if class == Value && !table.may_hold(lead) {
                return Some("its filter leaves an entry out");
            }
            let Some(segment) = table.segments.get(place.segment()) else {
                return Some("an entry leads to no segment");
            };
            if segment.length().is_some() && segment.frame(place.offset()).is_none() {
                return Some("an entry leads to no frame");
            }
        }
    }
    None
}
