//! Reading: what a view gives for a digest, every candidate checked against its own frame.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use crate::backend::keep_newest;
use crate::blob::Large;
use crate::digest::{CallId, CallKey, Digest, TypeFingerprint, ValueDigest};
use crate::frame::{Header, Kind};
use crate::layout::Layout;
use crate::record::Record;
use crate::segment::{COPIED, Segment};
use crate::tail::Class;
use crate::view::View;

impl View {
    /// The frame of a value that can be read, as far as a glance tells.
    pub(crate) fn find_value<T>(
        &self,
        digest: &ValueDigest,
        fingerprint: TypeFingerprint,
        mut accept: impl FnMut(&Arc<Segment>, u64, &Header) -> Option<T>,
    ) -> Option<T> {
        let digest = digest.digest();
        self.find(Class::Value, digest.leading(), |segment, offset| {
            let header = segment.frame(offset)?;
            let right = header.live && header.key == digest && header.fingerprint == fingerprint;
            (right && matches!(header.kind, Kind::Value | Kind::Large))
                .then(|| accept(segment, offset, &header))?
        })
    }

    pub(crate) fn collect_records(
        &self,
        class: Class,
        digest: Digest,
        accept: impl Fn(&Record) -> bool,
    ) -> Vec<Arc<Record>> {
        let mut records = Vec::new();
        self.find(class, digest.leading(), |segment, offset| {
            records.extend(segment.record(offset).filter(&accept).map(Arc::new));
            None::<()>
        });
        records
    }

    pub(crate) fn records_of(&self, key: &CallKey) -> Vec<Arc<Record>> {
        let mut records = self.collect_records(Class::Record, key.digest(), |record| record.key == *key);
        keep_newest(&mut records);
        records
    }

    /// The kept records of a call: first the keys it has, then what each of them keeps.
    pub(crate) fn history_of(&self, call: &CallId) -> Vec<Arc<Record>> {
        let found = self.collect_records(Class::Call, call.digest(), |record| record.identity.id() == *call);
        let mut by_key: HashMap<CallKey, Vec<Arc<Record>>> = HashMap::new();
        for record in found {
            by_key.entry(record.key).or_default().push(record);
        }
        let mut kept = Vec::new();
        for mut records in by_key.into_values() {
            keep_newest(&mut records);
            kept.append(&mut records);
        }
        kept.sort_by_key(|record| std::cmp::Reverse(record.clock));
        kept.dedup_by_key(|record| record.clock);
        kept
    }

    /// Every live record, kept or not.
    pub(crate) fn each_record(&self, f: &mut dyn FnMut(Record) -> ControlFlow<()>) {
        for tail in &self.tails {
            for offset in tail.records() {
                if let Some(record) = tail.segment.record(offset)
                    && f(record).is_break()
                {
                    return;
                }
            }
        }
    }

    /// Is this record among those that its key keeps?
    pub(crate) fn is_kept(&self, record: &Record) -> bool {
        self.records_of(&record.key).iter().any(|kept| kept.clock == record.clock)
    }

    /// Is a sound copy stored? Small ones are read and checked, so that a damaged one is put again.
    pub(crate) fn has(&self, layout: &Layout, digest: &ValueDigest, fingerprint: TypeFingerprint) -> bool {
        self.find_value(digest, fingerprint, |segment, offset, header| {
            let there = match large(segment, offset, header) {
                Some(large) => large.is_there(layout, &digest.digest()),
                None if header.kind == Kind::Large => false,
                None if header.length < COPIED => segment.is_whole(offset, header),
                None => segment.payload(offset, header, false).is_some(),
            };
            there.then_some(())
        })
        .is_some()
    }
    pub(crate) fn note(&self, kind: u16, key: &Digest) -> Option<Vec<u8>> {
        self.find(Class::Note, key.leading(), |segment, offset| {
            let header = segment.frame(offset)?;
            let right = header.live && header.kind == Kind::Note && header.key == *key;
            let right = right && header.fingerprint.0 == u64::from(kind);
            right.then(|| Some(segment.payload(offset, &header, true)?.to_vec()))?
        })
    }
}

/// What the frame of a large value says.
pub(crate) fn large(segment: &Segment, offset: u64, header: &Header) -> Option<Large> {
    (header.kind == Kind::Large).then(|| Large::parse(&segment.payload(offset, header, true)?))?
}
