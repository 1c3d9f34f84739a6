//! Stamps: what tells one state of a file from another without reading it.
//!
//! A stamp must never be trusted while a later write could leave it as it is.

use std::time::{Duration, SystemTime};

use fleche_store::Digest;

/// Device, inode, size and times of a file, the times in nanoseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Stamp {
    pub(crate) device: u64,
    pub(crate) inode: u64,
    pub(crate) size: u64,
    pub(crate) modified: i64,
    pub(crate) changed: i64,
}

/// File systems stamp in steps: a kernel tick at most where there are fractions of seconds.
const FINE: Duration = Duration::from_millis(50);
/// Two seconds at most where there are none.
const COARSE: Duration = Duration::from_secs(2);

impl Stamp {
    /// Equal to no file's stamp.
    pub(crate) const NONE: Self = Self { device: 0, inode: 0, size: 0, modified: 0, changed: 0 };

    /// How long after its youngest time the stamp can be trusted.
    fn step(&self) -> Duration {
        // Whole seconds are what a coarse clock gives, and one time in a billion a fine one.
        if self.changed % 1_000_000_000 == 0 { COARSE } else { FINE }
    }

    /// True if at `now` the file had last been touched so long ago that any later write must show in the stamp.
    /// `now` must be from before the stamp was taken: a write that came after it, within one step of the file
    /// system's clock, leaves no trace.
    pub(crate) fn is_settled(&self, now: SystemTime) -> bool {
        self.unsettled_for(now).is_zero() && *self != Self::NONE
    }

    /// How long after `now` the stamp becomes one that can be trusted; never more than a few seconds, after
    /// which it is to be asked again.
    pub(crate) fn unsettled_for(&self, now: SystemTime) -> Duration {
        let Ok(now) = now.duration_since(SystemTime::UNIX_EPOCH) else { return COARSE };
        let age =
            i64::try_from(now.as_nanos()).unwrap_or(i64::MAX).saturating_sub(self.modified.max(self.changed));
        let step = i64::try_from(self.step().as_nanos()).unwrap_or(i64::MAX);
        let missing = step.saturating_sub(age).saturating_add(1).max(0);
        Duration::from_nanos(missing.unsigned_abs()).min(COARSE + FINE)
    }

    /// Names it in the store.
    pub(crate) fn digest(&self) -> Digest {
        let mut bytes = [0; 56];
        bytes[..8].copy_from_slice(&self.device.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.inode.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.size.to_le_bytes());
        bytes[24..40].copy_from_slice(&i128::from(self.modified).to_le_bytes());
        bytes[40..56].copy_from_slice(&i128::from(self.changed).to_le_bytes());
        Digest::from_bytes(blake3::derive_key("fleche 2026 file stamp", &bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(changed: i64) -> Stamp {
        Stamp { device: 1, inode: 2, size: 3, modified: 7, changed }
    }

    #[test]
    fn a_young_stamp_and_one_from_the_future_are_not_trusted() {
        let now = SystemTime::UNIX_EPOCH + Duration::new(1000, 500);
        let nanos = 1_000_000_000_i64;
        assert!(stamp(999 * nanos + 1).is_settled(now));
        assert!(!stamp(999 * nanos).is_settled(now), "whole seconds: coarse clock");
        assert!(stamp(990 * nanos).is_settled(now));
        assert!(!stamp(1000 * nanos - 7).is_settled(now));
        assert!(!stamp(2000 * nanos + 7).is_settled(now));
        assert!(!Stamp::NONE.is_settled(now));
    }

    #[test]
    fn it_says_how_long_to_wait() {
        let now = SystemTime::UNIX_EPOCH + Duration::new(1000, 500);
        for changed in [1000 * 1_000_000_000, 1000 * 1_000_000_000 - 7, 999_999_999_123] {
            let stamp = stamp(changed);
            let wait = stamp.unsettled_for(now);
            assert!(!stamp.is_settled(now + wait - Duration::from_nanos(1)), "{stamp:?}");
            assert!(stamp.is_settled(now + wait), "{stamp:?}");
        }
    }
}
