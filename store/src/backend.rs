//! What a store can do, apart from where it keeps things; and the rules on records that every backend shares.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use crate::bytes::Bytes;
use crate::digest::{CallId, CallKey, DependencyId, Digest, TypeFingerprint, ValueDigest};
use crate::error::Result;
use crate::gc::{GcOptions, GcReport};
use crate::pin::Pins;
use crate::put::Put;
use crate::record::Record;
use crate::store::{Named, Stats};
use crate::verify::VerifyReport;

/// A place that values, records and notes are kept in. [`crate::Store`] is the face to the outside.
pub(crate) trait Backend: Send + Sync {
    /// Puts everything, in order. Returns the logical time of the last record, or of the one that says the same.
    fn put_all(&self, puts: &[Put<'_>]) -> Result<u64>;
    fn value(&self, digest: &ValueDigest, fingerprint: TypeFingerprint) -> Result<Option<Bytes>>;
    fn value_length(&self, digest: &ValueDigest, fingerprint: TypeFingerprint) -> Result<Option<u64>>;
    fn has_value(&self, digest: &ValueDigest, fingerprint: TypeFingerprint) -> Result<bool>;
    fn put_blob(&self, file: &Path) -> Result<(ValueDigest, u64)>;
    fn copy_blob(&self, digest: &ValueDigest, to: &Path) -> Result<bool>;
    fn records(&self, key: &CallKey) -> Result<Vec<Arc<Record>>>;
    fn newest(&self, call: &CallId) -> Result<Option<Arc<Record>>>;
    fn history(&self, call: &CallId) -> Result<Vec<Arc<Record>>>;
    fn dependents(&self, dependency: &DependencyId) -> Result<Vec<CallId>>;
    fn calls_of(&self, function: &str) -> Result<Vec<CallId>>;
    fn for_each_record(&self, f: &mut dyn FnMut(Arc<Record>) -> ControlFlow<()>) -> Result<()>;
    fn resolve(&self, prefix: Prefix) -> Result<Vec<Named>>;
    fn note(&self, kind: u16, key: &Digest) -> Result<Option<Vec<u8>>>;
    fn overruled(&self) -> Result<u64>;
    fn overrule(&self) -> Result<u64>;
    fn put_aside(&self, name: &Digest, overruled: u64, content: &[u8]) -> Result<()>;
    fn aside(&self, name: &Digest) -> Result<Option<Bytes>>;
    fn evict_call(&self, call: &CallId) -> Result<u64>;
    fn evict_value(&self, digest: &ValueDigest, fingerprint: TypeFingerprint) -> Result<u64>;
    fn stats(&self) -> Result<Stats>;
    fn sync(&self) -> Result<()>;
    fn dir(&self) -> Option<&Path>;
    fn gc(&self, options: &GcOptions) -> Result<GcReport>;
    fn verify(&self, repair: bool) -> Result<VerifyReport>;
    fn pins(&self) -> &Arc<Pins>;
    /// Makes one table of all; how many entries it has.
    fn merge_all(&self) -> Result<u64>;
    /// Waits for upkeep that was begun.
    fn settle(&self);
}

/// So many traces are kept for one key.
pub(crate) const TRACES: usize = 8;

/// Orders records newest first and drops what newer ones replace: one record per distinct trace, at most [`TRACES`].
pub(crate) fn keep_newest(records: &mut Vec<Arc<Record>>) {
    records.sort_by_key(|record| std::cmp::Reverse(record.clock));
    let mut kept: Vec<Arc<Record>> = Vec::with_capacity(records.len().min(TRACES));
    for record in records.drain(..) {
        if kept.len() < TRACES && kept.iter().all(|newer| newer.trace != record.trace) {
            kept.push(record);
        }
    }
    *records = kept;
}

/// The beginning of a digest: some hex digits.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Prefix {
    low: [u8; 32],
    digits: usize,
}

impl Prefix {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut low = [0; 32];
        if text.len() > 64 {
            return None;
        }
        for (i, digit) in text.bytes().enumerate() {
            let value = crate::digest::hex_value(digit)?;
            low[i / 2] |= if i.is_multiple_of(2) { value << 4 } else { value };
        }
        Some(Self { low, digits: text.len() })
    }

    pub(crate) fn matches(&self, digest: &Digest) -> bool {
        let bytes = digest.as_bytes();
        let whole = self.digits / 2;
        bytes[..whole] == self.low[..whole]
            && (self.digits.is_multiple_of(2) || bytes[whole] >> 4 == self.low[whole] >> 4)
    }

    /// The range of leading bits that digests with this prefix have.
    pub(crate) fn leading(&self) -> std::ops::RangeInclusive<u64> {
        let low = Digest::from_bytes(self.low).leading();
        let fixed = 4 * u32::try_from(self.digits.min(16)).unwrap_or(16);
        low..=low | u64::MAX.checked_shr(fixed).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_match_and_bound() {
        let mut bytes = [0xff; 32];
        bytes[0] = 0xab;
        bytes[1] = 0xc1;
        let digest = Digest::from_bytes(bytes);
        for (text, hit) in
            [("", true), ("a", true), ("ab", true), ("abc", true), ("abd", false), ("b", false)]
        {
            let prefix = Prefix::parse(text).unwrap();
            assert_eq!(prefix.matches(&digest), hit, "{text}");
            assert_eq!(prefix.leading().contains(&digest.leading()), hit, "{text}");
        }
        assert!(Prefix::parse(&digest.to_string()).unwrap().matches(&digest));
        assert!(Prefix::parse("xy").is_none());
        assert!(Prefix::parse(&"0".repeat(65)).is_none());
    }
}
