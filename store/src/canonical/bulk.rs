//! Slices of numbers, encoded as a whole.
//!
//! serde hands a slice over element by element. Where the elements are primitive numbers that costs many times what
//! hashing them does, so such a slice is recognised by its iterator's type and its runs are written from where they
//! lie. The encoding must be, byte for byte, the one that the elements give one at a time.

use std::any::TypeId;
use std::slice::Iter;

use super::encoder::{Encoder, RunKind};

/// A number as runs hold it.
pub(super) trait Scalar: Copy + 'static {
    const KIND: RunKind;

    /// Two's complement in 64 bits, or a float's own bits.
    fn bits(self) -> u64;

    /// The bits that an integer needs, sign bit apart.
    fn magnitude(self) -> u64 {
        self.bits()
    }

    fn is_negative(self) -> bool {
        false
    }

    /// The elements as they lie in memory, if a run holds just that.
    fn bytes(_: &[Self]) -> Option<&[u8]> {
        None
    }
}

impl Scalar for u8 {
    const KIND: RunKind = RunKind::Integers;

    fn bits(self) -> u64 {
        self.into()
    }

    fn bytes(all: &[Self]) -> Option<&[u8]> {
        Some(all)
    }
}

macro_rules! unsigned {
    ($($type:ty),*) => {$(
        #[allow(clippy::cast_lossless, reason = "`usize` and `isize` have no other conversion")]
        impl Scalar for $type {
            const KIND: RunKind = RunKind::Integers;

            #[inline]
            fn bits(self) -> u64 {
                self as u64
            }
        }
    )*};
}

macro_rules! signed {
    ($($type:ty),*) => {$(
        #[allow(clippy::cast_lossless, reason = "`usize` and `isize` have no other conversion")]
        impl Scalar for $type {
            const KIND: RunKind = RunKind::Integers;

            #[inline]
            fn bits(self) -> u64 {
                (self as i64).cast_unsigned()
            }

            #[inline]
            fn magnitude(self) -> u64 {
                // Without a branch: the complement of what is negative.
                let wide = self as i64;
                (wide ^ (wide >> 63)).cast_unsigned()
            }

            #[inline]
            fn is_negative(self) -> bool {
                self < 0
            }
        }
    )*};
}

unsigned!(u16, u32, u64, usize);
signed!(i8, i16, i32, i64, isize);

impl Scalar for f32 {
    const KIND: RunKind = RunKind::F32;

    #[inline]
    fn bits(self) -> u64 {
        super::f32_bits(self).into()
    }
}

impl Scalar for f64 {
    const KIND: RunKind = RunKind::F64;

    #[inline]
    fn bits(self) -> u64 {
        super::f64_bits(self)
    }
}

/// The slice that is still ahead of an iterator, if it is the iterator of a slice of `T`.
fn slice_of<T: 'static, I>(iter: &I) -> Option<&[T]> {
    if typeid::of::<I>() != TypeId::of::<Iter<'static, T>>() {
        return None;
    }
    // SAFETY: `I` is `Iter<'a, T>` for some `'a`: equal types but for lifetimes, which neither layout nor validity
    // depends on. What the iterator borrows lives at least as long as the iterator itself, and the slice is
    // returned for no longer than the borrow of that.
    let iter = unsafe { &*std::ptr::from_ref(iter).cast::<Iter<'_, T>>() };
    Some(iter.as_slice())
}

/// Encodes all that is ahead of the iterator, if that is a slice of numbers.
#[inline]
pub(super) fn encode<I>(encoder: &mut Encoder<'_>, iter: &I) -> bool {
    macro_rules! try_each {
        ($($type:ty),*) => {
            $(if let Some(slice) = slice_of::<$type, I>(iter) {
                encoder.runs(slice);
                return true;
            })*
        };
    }
    try_each!(u8, u16, u32, u64, usize, i8, i16, i32, i64, isize, f32, f64);
    false
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::ser::SerializeSeq;
    use serde::{Serialize, Serializer};

    use crate::canonical::{INLINE, encode};

    /// Hands its elements over one at a time.
    struct OneByOne<'a, T>(&'a [T]);

    impl<T: Serialize> Serialize for OneByOne<'_, T> {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            let mut seq = serializer.serialize_seq(Some(self.0.len()))?;
            for element in self.0 {
                seq.serialize_element(element)?;
            }
            seq.end()
        }
    }

    fn agrees<T: Serialize + Clone>(all: &[T]) -> Result<(), TestCaseError> {
        fn same(one: &impl Serialize, other: &impl Serialize) -> Result<(), TestCaseError> {
            let (mut left, mut right) = ([0; INLINE], [0; INLINE]);
            prop_assert_eq!(encode(one, &mut left).unwrap(), encode(other, &mut right).unwrap());
            Ok(())
        }
        // As they are, in a vector, behind a value that leaves a run open, and before one that follows.
        let one = OneByOne(all);
        same(&all, &one)?;
        same(&all.to_vec(), &one)?;
        same(&(7_u8, all, 8_u8), &(7_u8, &one, 8_u8))?;
        same(&[all, all], &[&one, &one])
    }

    /// Lengths about the ends of runs and blocks, and short ones.
    fn length() -> impl Strategy<Value = usize> {
        prop_oneof![0..40_usize, 1020..1030_usize, 2047..2050_usize, 16_380..16_390_usize]
    }

    /// A number of any size: few random numbers are small.
    fn sized(seed: u64, at: usize) -> u64 {
        let mixed = (seed ^ at as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(23);
        mixed >> (mixed % 64) >> (seed % 64)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        #[expect(clippy::cast_possible_truncation, clippy::cast_possible_wrap, reason = "any bits will do")]
        fn in_bulk_is_as_one_by_one(length in length(), seed: u64, negative: u64) {
            let bits: Vec<u64> = (0..length)
                .map(|at| if sized(negative, at) & 1 == 1 { !sized(seed, at) } else { sized(seed, at) })
                .collect();
            agrees(&bits.iter().map(|bits| *bits as u8).collect::<Vec<_>>())?;
            agrees(&bits.iter().map(|bits| *bits as u16).collect::<Vec<_>>())?;
            agrees(&bits.iter().map(|bits| *bits as u32).collect::<Vec<_>>())?;
            agrees(&bits)?;
            agrees(&bits.iter().map(|bits| *bits as usize).collect::<Vec<_>>())?;
            agrees(&bits.iter().map(|bits| *bits as i8).collect::<Vec<_>>())?;
            agrees(&bits.iter().map(|bits| *bits as i16).collect::<Vec<_>>())?;
            agrees(&bits.iter().map(|bits| *bits as i32).collect::<Vec<_>>())?;
            agrees(&bits.iter().map(|bits| *bits as i64).collect::<Vec<_>>())?;
            agrees(&bits.iter().map(|bits| *bits as isize).collect::<Vec<_>>())?;
            // All bit patterns, NaNs of every kind among them.
            agrees(&bits.iter().map(|bits| f32::from_bits(*bits as u32)).collect::<Vec<_>>())?;
            agrees(&bits.iter().map(|bits| f64::from_bits(*bits)).collect::<Vec<_>>())?;
        }
    }

    #[test]
    fn slices_of_numbers_are_recognised() {
        let mut space = [0; INLINE];
        let mut encoder = super::Encoder::new(&mut space);
        let bytes = vec![7_u8; 5];
        assert!(super::encode(&mut encoder, &bytes.iter()));
        assert!(super::encode(&mut encoder, &[1.5_f64][..].iter()));
        assert!(!super::encode(&mut encoder, &["x"].iter()));
        assert!(!super::encode(&mut encoder, &bytes.clone().into_iter()));
    }
}
