//! The frame: 64 bytes of header, then a payload; the unit in which everything is written.
//!
//! See `docs/store-format.md`. Parsing arbitrary bytes gives `None`, never a panic. The checks are seeded with the
//! segment's id, so that a frame is valid only where it was written: bytes of a segment that somebody stores as a
//! value, or a frame of another store, never look like a frame here.

use xxhash_rust::xxh3::{Xxh3, xxh3_64, xxh3_64_with_seed};

use crate::digest::{Digest, TypeFingerprint};

/// The size of a header, and of the segment header before the first frame.
pub(crate) const HEADER: u64 = HEADER_SIZE as u64;

/// The same, for arrays.
pub(crate) const HEADER_SIZE: usize = 64;

/// Payloads start and end at multiples of this.
pub(crate) const ALIGN: u64 = 16;

/// The live marker of a frame that counts. Anything else there is dead.
pub(crate) const LIVE: u32 = u32::from_le_bytes(*b"flch");

/// What eviction overwrites the live marker with.
pub(crate) const DEAD: u32 = u32::from_le_bytes(*b"dead");

/// The version of the frame layout.
const VERSION: u8 = 1;

/// Set in the kind's byte if a signature follows the padded payload.
const SIGNED: u8 = 0x80;

/// The size of that signature.
pub(crate) const SIGNATURE: u64 = SIGNATURE_SIZE as u64;

/// The same, for arrays.
pub(crate) const SIGNATURE_SIZE: usize = 32;

/// What a frame holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    /// A value, in the payload. Key: its digest.
    Value,
    /// A record. Key: its call key.
    Record,
    /// A note. Key: the note's; the fingerprint is its kind.
    Note,
    /// A value in a file of its own, which the payload names. Key: its digest.
    Large,
}

impl Kind {
    fn parse(byte: u8) -> Option<Self> {
        Some(match byte & !SIGNED {
            1 => Self::Value,
            2 => Self::Record,
            3 => Self::Note,
            4 => Self::Large,
            _ => return None,
        })
    }

    fn byte(self) -> u8 {
        match self {
            Self::Value => 1,
            Self::Record => 2,
            Self::Note => 3,
            Self::Large => 4,
        }
    }
}

/// The seed of all checks in one segment, from its id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seed(u64);

impl Seed {
    pub(crate) fn of(id: &[u8; 16]) -> Self {
        Self(xxh3_64(id))
    }
}

/// A header whose own check holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) kind: Kind,
    pub(crate) live: bool,
    /// The live marker is one of the two that are ever written.
    pub(crate) marked: bool,
    pub(crate) signed: bool,
    pub(crate) fingerprint: TypeFingerprint,
    pub(crate) length: u64,
    pub(crate) key: Digest,
    check: u64,
}

impl Header {
    /// The header of a new frame.
    pub(crate) fn new(
        seed: Seed,
        kind: Kind,
        key: Digest,
        fingerprint: TypeFingerprint,
        payload: &[u8],
        signed: bool,
    ) -> Self {
        let length = payload.len() as u64;
        let mut header = Self { kind, live: true, marked: true, signed, fingerprint, length, key, check: 0 };
        header.check = header.payload_check(seed, payload);
        header
    }

    /// The 64 bytes.
    pub(crate) fn bytes(&self, seed: Seed) -> [u8; HEADER_SIZE] {
        let mut bytes = [0; HEADER_SIZE];
        bytes[..4].copy_from_slice(&if self.live { LIVE } else { DEAD }.to_le_bytes());
        bytes[4] = self.kind_byte();
        bytes[5] = VERSION;
        bytes[8..16].copy_from_slice(&self.check.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.fingerprint.0.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.length.to_le_bytes());
        bytes[32..].copy_from_slice(self.key.as_bytes());
        let check = header_check(seed, &bytes);
        bytes[6..8].copy_from_slice(&check);
        bytes
    }

    /// Reads a header; `None` unless its check holds.
    pub(crate) fn parse(seed: Seed, bytes: &[u8; HEADER_SIZE]) -> Option<Self> {
        let word = |at: usize| bytes[at..].first_chunk().map_or(0, |word| u64::from_le_bytes(*word));
        let marker = bytes.first_chunk().map_or(0, |word| u32::from_le_bytes(*word));
        if bytes[5] != VERSION || bytes[6..8] != header_check(seed, bytes) {
            return None;
        }
        Some(Self {
            kind: Kind::parse(bytes[4])?,
            live: marker == LIVE,
            marked: marker == LIVE || marker == DEAD,
            signed: bytes[4] & SIGNED != 0,
            fingerprint: TypeFingerprint(word(16)),
            length: word(24),
            key: Digest::from_bytes(*bytes[32..].first_chunk()?),
            check: word(8),
        })
    }

    fn kind_byte(&self) -> u8 {
        self.kind.byte() | if self.signed { SIGNED } else { 0 }
    }

    /// The size of the whole frame; `None` if it is absurd.
    pub(crate) fn total(&self) -> Option<u64> {
        let signature = if self.signed { SIGNATURE } else { 0 };
        self.length.checked_next_multiple_of(ALIGN)?.checked_add(HEADER + signature)
    }

    /// Is this the payload that the header was written for?
    pub(crate) fn fits(&self, seed: Seed, payload: &[u8]) -> bool {
        payload.len() as u64 == self.length && self.payload_check(seed, payload) == self.check
    }

    /// What the checks and signatures cover of the header.
    fn covered(&self) -> [u8; 56] {
        let mut covered = [0; 56];
        covered[0] = self.kind_byte();
        covered[1] = VERSION;
        covered[8..16].copy_from_slice(&self.fingerprint.0.to_le_bytes());
        covered[16..24].copy_from_slice(&self.length.to_le_bytes());
        covered[24..].copy_from_slice(self.key.as_bytes());
        covered
    }

    fn payload_check(&self, seed: Seed, payload: &[u8]) -> u64 {
        xxh3_64_with_seed(&self.covered(), seed.0 ^ xxh3_64(payload))
    }

    /// The signature of this frame under a key. Not bound to the segment, so that compaction can move it.
    pub(crate) fn signature(&self, key: &[u8; 32], payload: &[u8]) -> [u8; SIGNATURE_SIZE] {
        let mut hasher = blake3::Hasher::new_keyed(key);
        hasher.update(&self.covered());
        hasher.update(payload);
        *hasher.finalize().as_bytes()
    }
}

/// Folds a check over everything in the header but the live marker and the check itself.
fn header_check(seed: Seed, bytes: &[u8; HEADER_SIZE]) -> [u8; 2] {
    let mut covered = [0; 58];
    covered[..2].copy_from_slice(&bytes[4..6]);
    covered[2..].copy_from_slice(&bytes[8..]);
    let check = xxh3_64_with_seed(&covered, seed.0).to_le_bytes();
    [check[0], check[1]]
}

/// A check over the parts of a segment or table header.
pub(crate) fn check(bytes: &[u8]) -> u64 {
    let mut hasher = Xxh3::new();
    hasher.update(bytes);
    hasher.digest()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEED: Seed = Seed(7);

    fn header(payload: &[u8]) -> Header {
        Header::new(SEED, Kind::Value, Digest::of(b"key"), TypeFingerprint(5), payload, false)
    }

    #[test]
    fn headers_round_trip() {
        let header = header(b"payload");
        let parsed = Header::parse(SEED, &header.bytes(SEED)).unwrap();
        assert_eq!(parsed, header);
        assert!(
            parsed.fits(SEED, b"payload") && !parsed.fits(SEED, b"payloae") && !parsed.fits(SEED, b"payloa")
        );
        assert_eq!(parsed.total(), Some(80));
    }

    #[test]
    fn a_frame_is_valid_only_in_its_own_segment() {
        let bytes = header(b"payload").bytes(SEED);
        assert_eq!(Header::parse(Seed(8), &bytes), None);
    }

    #[test]
    fn every_flipped_bit_outside_the_marker_is_noticed() {
        let header = header(b"payload");
        let clean = header.bytes(SEED);
        for bit in 0..512 {
            let mut bytes = clean;
            bytes[bit / 8] ^= 1 << (bit % 8);
            let parsed = Header::parse(SEED, &bytes);
            if bit < 32 {
                let parsed = parsed.unwrap();
                assert!(!parsed.live && !parsed.marked);
            } else {
                assert_eq!(parsed, None, "bit {bit}");
            }
        }
    }

    #[test]
    fn absurd_lengths_do_not_overflow() {
        let mut header = header(b"");
        header.length = u64::MAX;
        assert_eq!(header.total(), None);
    }
}
