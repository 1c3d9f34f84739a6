//! The bytes behind [`super::encode`]: what tags there are, how runs of scalars are packed, and how the digest is fed.

use super::bulk::Scalar;
use super::{Encoded, INLINE};
use crate::digest::{Digest, ValueDigest};

/// Scalars that follow each other in a sequence are packed into runs of at most this many.
const RUN: usize = 1024;

/// BLAKE3 is fed in blocks of this size: enough for its widest vector unit.
const BLOCK: usize = 16 * 1024;

pub(super) mod tag {
    pub(in crate::canonical) const END: u8 = 0;
    pub(in crate::canonical) const UNIT: u8 = 1;
    pub(in crate::canonical) const FALSE: u8 = 2;
    pub(in crate::canonical) const TRUE: u8 = 3;
    pub(in crate::canonical) const CHAR: u8 = 4;
    pub(in crate::canonical) const STR: u8 = 5;
    pub(in crate::canonical) const BYTES: u8 = 6;
    pub(in crate::canonical) const NONE: u8 = 7;
    pub(in crate::canonical) const SOME: u8 = 8;
    pub(in crate::canonical) const F32: u8 = 9;
    pub(in crate::canonical) const F64: u8 = 10;
    pub(in crate::canonical) const SEQ: u8 = 11;
    pub(in crate::canonical) const TUPLE: u8 = 12;
    pub(in crate::canonical) const MAP: u8 = 13;
    pub(in crate::canonical) const UNORDERED_MAP: u8 = 14;
    pub(in crate::canonical) const UNORDERED_SET: u8 = 15;
    pub(in crate::canonical) const UNIT_STRUCT: u8 = 16;
    pub(in crate::canonical) const NEWTYPE_STRUCT: u8 = 17;
    pub(in crate::canonical) const TUPLE_STRUCT: u8 = 18;
    pub(in crate::canonical) const STRUCT: u8 = 19;
    pub(in crate::canonical) const UNIT_VARIANT: u8 = 20;
    pub(in crate::canonical) const NEWTYPE_VARIANT: u8 = 21;
    pub(in crate::canonical) const TUPLE_VARIANT: u8 = 22;
    pub(in crate::canonical) const STRUCT_VARIANT: u8 = 23;
    pub(in crate::canonical) const FIELD: u8 = 24;
    pub(in crate::canonical) const IGNORED: u8 = 25;
    pub(in crate::canonical) const HUGE_POSITIVE: u8 = 26;
    pub(in crate::canonical) const HUGE_NEGATIVE: u8 = 27;
    pub(in crate::canonical) const RUN_F32: u8 = 28;
    pub(in crate::canonical) const RUN_F64: u8 = 29;
    /// Plus the logarithm of the width: 1, 2, 4 or 8 bytes.
    pub(in crate::canonical) const UNSIGNED: u8 = 32;
    pub(in crate::canonical) const SIGNED: u8 = 36;
    pub(in crate::canonical) const RUN_UNSIGNED: u8 = 40;
    pub(in crate::canonical) const RUN_SIGNED: u8 = 44;
}

/// Collects encoded bytes: inline at first, through BLAKE3 once they outgrow that.
pub(super) struct Encoder<'a> {
    inline: &'a mut [u8; INLINE],
    length: usize,
    spill: Option<Box<Spill>>,
    run: Run,
}

struct Spill {
    hasher: blake3::Hasher,
    block: Vec<u8>,
}

/// Scalars of one sequence that are not written yet.
#[derive(Default)]
struct Run {
    kind: RunKind,
    scalars: Vec<u64>,
    /// Bits that any element needs, sign bit apart.
    magnitude: u64,
    negative: bool,
}

#[derive(Default, Clone, Copy, PartialEq, Eq)]
pub(super) enum RunKind {
    #[default]
    Integers,
    F32,
    F64,
}

impl<'a> Encoder<'a> {
    #[inline]
    pub(super) fn new(space: &'a mut [u8; INLINE]) -> Self {
        Self { inline: space, length: 0, spill: None, run: Run::default() }
    }

    #[inline]
    pub(super) fn finish(mut self) -> Encoded<'a> {
        self.flush_run();
        match self.spill {
            None => Encoded::Short(&self.inline[..self.length]),
            Some(mut spill) => {
                spill.hasher.update(&spill.block);
                let digest = Digest::from_bytes(*spill.hasher.finalize().as_bytes());
                Encoded::Long(ValueDigest::new(digest))
            }
        }
    }

    /// Appends bytes behind everything that went before, the pending run included.
    #[inline]
    pub(super) fn raw(&mut self, bytes: &[u8]) {
        if self.spill.is_none() && bytes.len() <= INLINE - self.length {
            self.inline[self.length..self.length + bytes.len()].copy_from_slice(bytes);
            self.length += bytes.len();
        } else {
            self.spilled(bytes);
        }
    }

    fn spilled(&mut self, bytes: &[u8]) {
        let spill = self.spill.get_or_insert_with(|| {
            let mut block = Vec::with_capacity(BLOCK);
            block.extend_from_slice(&self.inline[..self.length]);
            Box::new(Spill { hasher: blake3::Hasher::new(), block })
        });
        let mut rest = bytes;
        while spill.block.len() + rest.len() >= BLOCK {
            if spill.block.is_empty() {
                let whole = rest.len() - rest.len() % BLOCK;
                spill.hasher.update(&rest[..whole]);
                rest = &rest[whole..];
            } else {
                let (now, later) = rest.split_at(BLOCK - spill.block.len());
                spill.block.extend_from_slice(now);
                spill.hasher.update(&spill.block);
                spill.block.clear();
                rest = later;
            }
        }
        spill.block.extend_from_slice(rest);
    }

    #[inline]
    pub(super) fn tag(&mut self, tag: u8) {
        self.flush_run();
        self.raw(&[tag]);
    }

    /// A length or count, in as few groups of seven bits as it takes.
    #[inline]
    pub(super) fn count(&mut self, mut count: u64) {
        let mut bytes = [0u8; 10];
        let mut used = 0;
        loop {
            let low = (count & 0x7f) as u8;
            count >>= 7;
            bytes[used] = if count == 0 { low } else { low | 0x80 };
            used += 1;
            if count == 0 {
                break;
            }
        }
        self.raw(&bytes[..used]);
    }

    #[inline]
    pub(super) fn text(&mut self, text: &str) {
        self.count(text.len() as u64);
        self.raw(text.as_bytes());
    }

    #[inline]
    pub(super) fn named(&mut self, tag: u8, name: &str) {
        self.tag(tag);
        self.text(name);
    }

    #[inline]
    pub(super) fn variant(&mut self, tag: u8, name: &str, variant: &str) {
        self.named(tag, name);
        self.text(variant);
    }

    /// One integer that stands by itself. `bits` is its two's complement.
    #[inline]
    pub(super) fn integer(&mut self, bits: u64, negative: bool) {
        let width = width_log(if negative { !bits } else { bits }, negative);
        self.tag(if negative { tag::SIGNED } else { tag::UNSIGNED } + width);
        self.raw(&bits.to_le_bytes()[..1 << width]);
    }

    pub(super) fn huge(&mut self, magnitude: u128, negative: bool) {
        self.tag(if negative { tag::HUGE_NEGATIVE } else { tag::HUGE_POSITIVE });
        self.raw(&magnitude.to_le_bytes());
    }

    /// One integer of a sequence. A run holds values that fit in `u64`, or values that fit in `i64`; where it ends
    /// depends on the values alone.
    #[inline]
    pub(super) fn push_integer(&mut self, bits: u64, negative: bool) {
        let magnitude = if negative { !bits } else { bits };
        let run = &mut self.run;
        let mixed =
            (negative && run.magnitude >> 63 != 0) || (!negative && run.negative && magnitude >> 63 != 0);
        if mixed || run.kind != RunKind::Integers {
            self.flush_run();
        }
        self.run.kind = RunKind::Integers;
        self.run.magnitude |= magnitude;
        self.run.negative |= negative;
        self.push(bits);
    }

    #[inline]
    pub(super) fn push_float(&mut self, kind: RunKind, bits: u64) {
        if self.run.kind != kind {
            self.flush_run();
            self.run.kind = kind;
        }
        self.push(bits);
    }

    #[inline]
    fn push(&mut self, bits: u64) {
        self.run.scalars.push(bits);
        if self.run.scalars.len() == RUN {
            self.flush_run();
        }
    }

    #[inline]
    fn flush_run(&mut self) {
        if !self.run.scalars.is_empty() {
            self.write_run();
        }
    }

    fn write_run(&mut self) {
        let mut run = std::mem::take(&mut self.run);
        let width = self.head(run.kind, run.magnitude, run.negative, run.scalars.len());
        let mut payload = [0u8; RUN * 8];
        self.raw(pack(&run.scalars, width, &mut payload));
        run.scalars.clear();
        self.run.scalars = run.scalars;
    }

    /// What a run begins with. Gives the logarithm of its elements' width.
    fn head(&mut self, kind: RunKind, magnitude: u64, negative: bool, length: usize) -> u8 {
        let (tag, width) = match kind {
            RunKind::F32 => (tag::RUN_F32, 2),
            RunKind::F64 => (tag::RUN_F64, 3),
            RunKind::Integers => {
                let width = width_log(magnitude, negative);
                (if negative { tag::RUN_SIGNED } else { tag::RUN_UNSIGNED } + width, width)
            }
        };
        #[expect(clippy::cast_possible_truncation, reason = "at most RUN")]
        let count = (length as u16).to_le_bytes();
        self.raw(&[tag, count[0], count[1]]);
        width
    }

    /// All elements of a sequence at once: what pushing one after the other comes to. In a sequence of one type no
    /// run ends early, since values beyond `i64` and negative ones do not meet.
    pub(super) fn runs<T: Scalar>(&mut self, scalars: &[T]) {
        self.flush_run();
        let mut buffer = [0u8; RUN * 8];
        for run in scalars.chunks(RUN) {
            let (magnitude, negative) = match T::bytes(run) {
                // Of bytes nothing is wider than a byte.
                Some(_) => (0, false),
                None => run.iter().fold((0, false), |(magnitude, negative), scalar| {
                    (magnitude | scalar.magnitude(), negative | scalar.is_negative())
                }),
            };
            let width = self.head(T::KIND, magnitude, negative, run.len());
            match T::bytes(run) {
                Some(bytes) => self.raw(bytes),
                None => self.raw(pack(run, width, &mut buffer)),
            }
        }
    }
}

/// The low bytes of each element, one after the other.
#[inline]
fn pack<'a, T: Scalar>(scalars: &[T], width: u8, buffer: &'a mut [u8; RUN * 8]) -> &'a [u8] {
    let payload = &mut buffer[..scalars.len() << width];
    macro_rules! pack {
        ($width:literal) => {
            for (to, from) in payload.as_chunks_mut::<$width>().0.iter_mut().zip(scalars) {
                to.copy_from_slice(&from.bits().to_le_bytes()[..$width]);
            }
        };
    }
    match width {
        0 => pack!(1),
        1 => pack!(2),
        2 => pack!(4),
        _ => pack!(8),
    }
    payload
}

/// The logarithm of the number of bytes that `magnitude` takes, with room for a sign bit where there is one.
#[inline]
fn width_log(magnitude: u64, signed: bool) -> u8 {
    let bits = 64 - magnitude.leading_zeros() + u32::from(signed);
    match bits {
        0..=8 => 0,
        9..=16 => 1,
        17..=32 => 2,
        _ => 3,
    }
}
