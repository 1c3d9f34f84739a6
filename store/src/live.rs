//! Which frames of which segment count: one bit per sixteen bytes of file.

use std::collections::HashMap;

use crate::frame::ALIGN;
use crate::segment::SegmentId;

/// A set of frames.
#[derive(Default)]
pub(crate) struct Live {
    segments: HashMap<SegmentId, Bits>,
}

#[derive(Default)]
struct Bits {
    words: Vec<u64>,
    bytes: u64,
}

fn place(offset: u64) -> (usize, u64) {
    let index = offset / ALIGN;
    (usize::try_from(index / 64).unwrap_or(usize::MAX), 1 << (index % 64))
}

impl Live {
    /// Adds a frame that takes `total` bytes; returns whether it is new.
    pub(crate) fn insert(&mut self, segment: SegmentId, offset: u64, total: u64) -> bool {
        let bits = self.segments.entry(segment).or_default();
        let (word, bit) = place(offset);
        if bits.words.len() <= word {
            bits.words.resize(word + 1, 0);
        }
        let new = bits.words[word] & bit == 0;
        bits.words[word] |= bit;
        bits.bytes = bits.bytes.saturating_add(if new { total } else { 0 });
        new
    }

    pub(crate) fn contains(&self, segment: SegmentId, offset: u64) -> bool {
        let (word, bit) = place(offset);
        self.segments.get(&segment).and_then(|bits| bits.words.get(word)).is_some_and(|word| word & bit != 0)
    }

    /// The bytes that the frames of a segment take.
    pub(crate) fn bytes(&self, segment: SegmentId) -> u64 {
        self.segments.get(&segment).map_or(0, |bits| bits.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_counted_once() {
        let mut live = Live::default();
        let id = SegmentId([1; 16]);
        assert!(live.insert(id, 64, 80));
        assert!(!live.insert(id, 64, 80));
        assert!(live.insert(id, 64 + 16 * 64, 80));
        assert_eq!(live.bytes(id), 160);
        assert!(live.contains(id, 64) && !live.contains(id, 80) && !live.contains(SegmentId([2; 16]), 64));
    }
}
