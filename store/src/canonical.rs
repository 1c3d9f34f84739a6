//! The canonical encoding of any serde value, and its digest.
//!
//! Two values share an encoding only if safe code could not tell them apart, except that NaNs are all alike and
//! that hash maps and hash sets have no order. The encoding can be decoded (tags, lengths, end marks), which is what
//! makes it injective; nobody decodes it. It must never depend on addresses, hash seeds or integer widths.

use std::fmt;

use serde::Serialize;
use serde::ser::{
    SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple,
    SerializeTupleStruct, SerializeTupleVariant, Serializer,
};

use crate::digest::{Digest, ValueDigest};

/// Encodings up to this many bytes are kept as they are.
pub const INLINE: usize = 128;

/// Scalars that follow each other in a sequence are packed into runs of at most this many.
const RUN: usize = 1024;

/// BLAKE3 is fed in blocks of this size: enough for its widest vector unit.
const BLOCK: usize = 16 * 1024;

/// The name of the newtype struct whose content does not count.
pub const IGNORED: &str = "$fleche::Ignored";

/// The name of the newtype struct that keeps the order of the map or set directly inside.
pub const ORDERED: &str = "$fleche::Ordered";

mod tag {
    pub(super) const END: u8 = 0;
    pub(super) const UNIT: u8 = 1;
    pub(super) const FALSE: u8 = 2;
    pub(super) const TRUE: u8 = 3;
    pub(super) const CHAR: u8 = 4;
    pub(super) const STR: u8 = 5;
    pub(super) const BYTES: u8 = 6;
    pub(super) const NONE: u8 = 7;
    pub(super) const SOME: u8 = 8;
    pub(super) const F32: u8 = 9;
    pub(super) const F64: u8 = 10;
    pub(super) const SEQ: u8 = 11;
    pub(super) const TUPLE: u8 = 12;
    pub(super) const MAP: u8 = 13;
    pub(super) const UNORDERED_MAP: u8 = 14;
    pub(super) const UNORDERED_SET: u8 = 15;
    pub(super) const UNIT_STRUCT: u8 = 16;
    pub(super) const NEWTYPE_STRUCT: u8 = 17;
    pub(super) const TUPLE_STRUCT: u8 = 18;
    pub(super) const STRUCT: u8 = 19;
    pub(super) const UNIT_VARIANT: u8 = 20;
    pub(super) const NEWTYPE_VARIANT: u8 = 21;
    pub(super) const TUPLE_VARIANT: u8 = 22;
    pub(super) const STRUCT_VARIANT: u8 = 23;
    pub(super) const FIELD: u8 = 24;
    pub(super) const IGNORED: u8 = 25;
    pub(super) const HUGE_POSITIVE: u8 = 26;
    pub(super) const HUGE_NEGATIVE: u8 = 27;
    pub(super) const RUN_F32: u8 = 28;
    pub(super) const RUN_F64: u8 = 29;
    /// Plus the logarithm of the width: 1, 2, 4 or 8 bytes.
    pub(super) const UNSIGNED: u8 = 32;
    pub(super) const SIGNED: u8 = 36;
    pub(super) const RUN_UNSIGNED: u8 = 40;
    pub(super) const RUN_SIGNED: u8 = 44;
}

/// A value could not be encoded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The value's own `Serialize` said so (a path that is not UTF-8, a poisoned lock).
    #[error("{0}")]
    Custom(String),
}

impl serde::ser::Error for Error {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::Custom(message.to_string())
    }
}

/// The canonical digest of a value.
pub fn digest<T: Serialize + ?Sized>(value: &T) -> Result<ValueDigest, Error> {
    Ok(encode(value)?.digest())
}

/// The canonical encoding of a value, or its digest if the encoding is long.
pub fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Encoding, Error> {
    let mut encoder = Encoder::new();
    value.serialize(Value { encoder: &mut encoder, packed: false, ordered: false })?;
    Ok(encoder.finish())
}

/// What [`encode`] gives: the canonical bytes while they are few, else their digest.
#[derive(Clone, Copy)]
pub struct Encoding {
    /// `Some` length of the bytes in `bytes`, or `None` if its first 32 are the digest.
    length: Option<u8>,
    bytes: [u8; INLINE],
}

impl Encoding {
    /// The canonical bytes, if there are at most [`INLINE`] of them.
    pub fn short(&self) -> Option<&[u8]> {
        self.length.map(|length| &self.bytes[..usize::from(length)])
    }

    /// The canonical digest of the value.
    pub fn digest(&self) -> ValueDigest {
        if let Some(bytes) = self.short() {
            ValueDigest::new(Digest::of(bytes))
        } else {
            let mut digest = [0; 32];
            digest.copy_from_slice(&self.bytes[..32]);
            ValueDigest::new(Digest::from_bytes(digest))
        }
    }
}

impl PartialEq for Encoding {
    fn eq(&self, other: &Self) -> bool {
        self.length == other.length && self.bytes[..self.used()] == other.bytes[..other.used()]
    }
}

impl Eq for Encoding {}

impl Encoding {
    fn used(&self) -> usize {
        self.length.map_or(32, usize::from)
    }
}

impl fmt::Debug for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Encoding").field("short", &self.short()).field("digest", &self.digest()).finish()
    }
}

/// Collects encoded bytes: inline at first, through BLAKE3 once they outgrow that.
struct Encoder {
    inline: [u8; INLINE],
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
enum RunKind {
    #[default]
    Integers,
    F32,
    F64,
}

impl Encoder {
    fn new() -> Self {
        Self { inline: [0; INLINE], length: 0, spill: None, run: Run::default() }
    }

    fn finish(mut self) -> Encoding {
        self.flush_run();
        match self.spill {
            None => Encoding {
                #[expect(clippy::cast_possible_truncation, reason = "at most INLINE")]
                length: Some(self.length as u8),
                bytes: self.inline,
            },
            Some(mut spill) => {
                spill.hasher.update(&spill.block);
                let mut bytes = [0; INLINE];
                bytes[..32].copy_from_slice(spill.hasher.finalize().as_bytes());
                Encoding { length: None, bytes }
            }
        }
    }

    /// Appends bytes behind everything that went before, the pending run included.
    #[inline]
    fn raw(&mut self, bytes: &[u8]) {
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
    fn tag(&mut self, tag: u8) {
        self.flush_run();
        self.raw(&[tag]);
    }

    /// A length or count, in as few groups of seven bits as it takes.
    #[inline]
    fn count(&mut self, mut count: u64) {
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
    fn text(&mut self, text: &str) {
        self.count(text.len() as u64);
        self.raw(text.as_bytes());
    }

    #[inline]
    fn named(&mut self, tag: u8, name: &str) {
        self.tag(tag);
        self.text(name);
    }

    #[inline]
    fn variant(&mut self, tag: u8, name: &str, variant: &str) {
        self.named(tag, name);
        self.text(variant);
    }

    /// One integer that stands by itself. `bits` is its two's complement.
    fn integer(&mut self, bits: u64, negative: bool) {
        let width = width_log(if negative { !bits } else { bits }, negative);
        self.tag(if negative { tag::SIGNED } else { tag::UNSIGNED } + width);
        self.raw(&bits.to_le_bytes()[..1 << width]);
    }

    fn huge(&mut self, magnitude: u128, negative: bool) {
        self.tag(if negative { tag::HUGE_NEGATIVE } else { tag::HUGE_POSITIVE });
        self.raw(&magnitude.to_le_bytes());
    }

    /// One integer of a sequence. A run holds values that fit in `u64`, or values that fit in `i64`; where it ends
    /// depends on the values alone.
    #[inline]
    fn push_integer(&mut self, bits: u64, negative: bool) {
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
    fn push_float(&mut self, kind: RunKind, bits: u64) {
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
        let (tag, width) = match run.kind {
            RunKind::F32 => (tag::RUN_F32, 2),
            RunKind::F64 => (tag::RUN_F64, 3),
            RunKind::Integers => {
                let width = width_log(run.magnitude, run.negative);
                (if run.negative { tag::RUN_SIGNED } else { tag::RUN_UNSIGNED } + width, width)
            }
        };
        #[expect(clippy::cast_possible_truncation, reason = "at most RUN")]
        let count = (run.scalars.len() as u16).to_le_bytes();
        self.raw(&[tag, count[0], count[1]]);
        let mut payload = [0u8; RUN * 8];
        let payload = &mut payload[..run.scalars.len() << width];
        macro_rules! pack {
            ($width:literal) => {
                for (to, from) in payload.chunks_exact_mut($width).zip(&run.scalars) {
                    to.copy_from_slice(&from.to_le_bytes()[..$width]);
                }
            };
        }
        match width {
            0 => pack!(1),
            1 => pack!(2),
            2 => pack!(4),
            _ => pack!(8),
        }
        self.raw(payload);
        run.scalars.clear();
        self.run.scalars = run.scalars;
    }
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

fn f32_bits(value: f32) -> u32 {
    if value.is_nan() { f32::NAN.to_bits() } else { value.to_bits() }
}

fn f64_bits(value: f64) -> u64 {
    if value.is_nan() { f64::NAN.to_bits() } else { value.to_bits() }
}

/// Does `T`, which came through `collect_map` or `collect_seq`, have no order of its own?
///
/// If the compiler ever spells these names differently, equal maps stop being equal: a miss, never a wrong hit.
fn is_unordered<T>() -> bool {
    let name = std::any::type_name::<T>().trim_start_matches('&');
    [
        "std::collections::hash::map::HashMap<",
        "std::collections::hash::set::HashSet<",
        "hashbrown::map::HashMap<",
        "hashbrown::set::HashSet<",
    ]
    .iter()
    .any(|known| name.starts_with(known))
}

/// The serializer for one value.
struct Value<'a> {
    encoder: &'a mut Encoder,
    /// This value is an element of a sequence: scalars go into runs.
    packed: bool,
    /// An unordered container keeps its order after all.
    ordered: bool,
}

impl<'a> Value<'a> {
    fn compound(self, tag: u8) -> Compound<'a> {
        self.encoder.tag(tag);
        Compound { encoder: self.encoder }
    }

    fn signed(self, value: i64) {
        #[expect(clippy::cast_sign_loss, reason = "two's complement is what is meant")]
        let bits = value as u64;
        if self.packed {
            self.encoder.push_integer(bits, value < 0);
        } else {
            self.encoder.integer(bits, value < 0);
        }
    }

    fn unsigned(self, value: u64) {
        if self.packed {
            self.encoder.push_integer(value, false);
        } else {
            self.encoder.integer(value, false);
        }
    }

    /// Entries without an order: the sorted digests of their encodings.
    fn unordered<T>(
        self,
        tag: u8,
        entries: impl Iterator<Item = T>,
        mut encode: impl FnMut(&mut Encoder, T) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut digests = Vec::with_capacity(entries.size_hint().0);
        for entry in entries {
            let mut encoder = Encoder::new();
            encode(&mut encoder, entry)?;
            digests.push(encoder.finish().digest());
        }
        digests.sort_unstable();
        self.encoder.tag(tag);
        self.encoder.count(digests.len() as u64);
        for digest in digests {
            self.encoder.raw(digest.as_bytes());
        }
        Ok(())
    }
}

/// The inside of something with parts: ends with an end mark.
struct Compound<'a> {
    encoder: &'a mut Encoder,
}

impl Compound<'_> {
    #[inline]
    fn value<T: Serialize + ?Sized>(&mut self, value: &T, packed: bool) -> Result<(), Error> {
        value.serialize(Value { encoder: self.encoder, packed, ordered: false })
    }

    #[inline]
    fn field<T: Serialize + ?Sized>(&mut self, name: &str, value: &T) -> Result<(), Error> {
        self.encoder.named(tag::FIELD, name);
        self.value(value, false)
    }

    #[expect(clippy::unnecessary_wraps, reason = "what the traits ask for")]
    fn close(self) -> Result<(), Error> {
        self.encoder.tag(tag::END);
        Ok(())
    }
}

impl<'a> Serializer for Value<'a> {
    type Ok = ();
    type Error = Error;
    type SerializeSeq = Compound<'a>;
    type SerializeTuple = Compound<'a>;
    type SerializeTupleStruct = Compound<'a>;
    type SerializeTupleVariant = Compound<'a>;
    type SerializeMap = Compound<'a>;
    type SerializeStruct = Compound<'a>;
    type SerializeStructVariant = Compound<'a>;

    fn is_human_readable(&self) -> bool {
        false
    }

    fn serialize_bool(self, value: bool) -> Result<(), Error> {
        self.encoder.tag(if value { tag::TRUE } else { tag::FALSE });
        Ok(())
    }

    fn serialize_i8(self, value: i8) -> Result<(), Error> {
        self.signed(value.into());
        Ok(())
    }

    fn serialize_i16(self, value: i16) -> Result<(), Error> {
        self.signed(value.into());
        Ok(())
    }

    fn serialize_i32(self, value: i32) -> Result<(), Error> {
        self.signed(value.into());
        Ok(())
    }

    fn serialize_i64(self, value: i64) -> Result<(), Error> {
        self.signed(value);
        Ok(())
    }

    fn serialize_i128(self, value: i128) -> Result<(), Error> {
        match (i64::try_from(value), u64::try_from(value)) {
            (Ok(small), _) => self.signed(small),
            (_, Ok(small)) => self.unsigned(small),
            _ => self.encoder.huge(value.unsigned_abs(), value < 0),
        }
        Ok(())
    }

    fn serialize_u8(self, value: u8) -> Result<(), Error> {
        self.unsigned(value.into());
        Ok(())
    }

    fn serialize_u16(self, value: u16) -> Result<(), Error> {
        self.unsigned(value.into());
        Ok(())
    }

    fn serialize_u32(self, value: u32) -> Result<(), Error> {
        self.unsigned(value.into());
        Ok(())
    }

    fn serialize_u64(self, value: u64) -> Result<(), Error> {
        self.unsigned(value);
        Ok(())
    }

    fn serialize_u128(self, value: u128) -> Result<(), Error> {
        match u64::try_from(value) {
            Ok(small) => self.unsigned(small),
            Err(_) => self.encoder.huge(value, false),
        }
        Ok(())
    }

    fn serialize_f32(self, value: f32) -> Result<(), Error> {
        let bits = f32_bits(value);
        if self.packed {
            self.encoder.push_float(RunKind::F32, bits.into());
        } else {
            self.encoder.tag(tag::F32);
            self.encoder.raw(&bits.to_le_bytes());
        }
        Ok(())
    }

    fn serialize_f64(self, value: f64) -> Result<(), Error> {
        let bits = f64_bits(value);
        if self.packed {
            self.encoder.push_float(RunKind::F64, bits);
        } else {
            self.encoder.tag(tag::F64);
            self.encoder.raw(&bits.to_le_bytes());
        }
        Ok(())
    }

    fn serialize_char(self, value: char) -> Result<(), Error> {
        self.encoder.tag(tag::CHAR);
        self.encoder.raw(&u32::from(value).to_le_bytes());
        Ok(())
    }

    fn serialize_str(self, value: &str) -> Result<(), Error> {
        self.encoder.named(tag::STR, value);
        Ok(())
    }

    fn serialize_bytes(self, value: &[u8]) -> Result<(), Error> {
        self.encoder.tag(tag::BYTES);
        self.encoder.count(value.len() as u64);
        self.encoder.raw(value);
        Ok(())
    }

    fn serialize_none(self) -> Result<(), Error> {
        self.encoder.tag(tag::NONE);
        Ok(())
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Error> {
        self.encoder.tag(tag::SOME);
        value.serialize(Value { encoder: self.encoder, packed: false, ordered: self.ordered })
    }

    fn serialize_unit(self) -> Result<(), Error> {
        self.encoder.tag(tag::UNIT);
        Ok(())
    }

    fn serialize_unit_struct(self, name: &'static str) -> Result<(), Error> {
        self.encoder.named(tag::UNIT_STRUCT, name);
        Ok(())
    }

    fn serialize_unit_variant(self, name: &'static str, _: u32, variant: &'static str) -> Result<(), Error> {
        self.encoder.variant(tag::UNIT_VARIANT, name, variant);
        Ok(())
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        value: &T,
    ) -> Result<(), Error> {
        if name == IGNORED {
            self.encoder.tag(tag::IGNORED);
            return Ok(());
        }
        self.encoder.named(tag::NEWTYPE_STRUCT, name);
        value.serialize(Value { encoder: self.encoder, packed: false, ordered: name == ORDERED })
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), Error> {
        self.encoder.variant(tag::NEWTYPE_VARIANT, name, variant);
        value.serialize(Value { encoder: self.encoder, packed: false, ordered: false })
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Compound<'a>, Error> {
        Ok(self.compound(tag::SEQ))
    }

    fn serialize_tuple(self, _: usize) -> Result<Compound<'a>, Error> {
        Ok(self.compound(tag::TUPLE))
    }

    fn serialize_tuple_struct(self, name: &'static str, _: usize) -> Result<Compound<'a>, Error> {
        self.encoder.named(tag::TUPLE_STRUCT, name);
        Ok(Compound { encoder: self.encoder })
    }

    fn serialize_tuple_variant(
        self,
        name: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Compound<'a>, Error> {
        self.encoder.variant(tag::TUPLE_VARIANT, name, variant);
        Ok(Compound { encoder: self.encoder })
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Compound<'a>, Error> {
        Ok(self.compound(tag::MAP))
    }

    fn serialize_struct(self, name: &'static str, _: usize) -> Result<Compound<'a>, Error> {
        self.encoder.named(tag::STRUCT, name);
        Ok(Compound { encoder: self.encoder })
    }

    fn serialize_struct_variant(
        self,
        name: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Compound<'a>, Error> {
        self.encoder.variant(tag::STRUCT_VARIANT, name, variant);
        Ok(Compound { encoder: self.encoder })
    }

    fn collect_seq<I>(self, iter: I) -> Result<(), Error>
    where
        I: IntoIterator,
        I::Item: Serialize,
    {
        if is_unordered::<I>() && !self.ordered {
            return self.unordered(tag::UNORDERED_SET, iter.into_iter(), |encoder, item| {
                item.serialize(Value { encoder, packed: false, ordered: false })
            });
        }
        let mut compound = self.compound(tag::SEQ);
        for item in iter {
            compound.value(&item, true)?;
        }
        compound.close()
    }

    fn collect_map<K, V, I>(self, iter: I) -> Result<(), Error>
    where
        K: Serialize,
        V: Serialize,
        I: IntoIterator<Item = (K, V)>,
    {
        if is_unordered::<I>() && !self.ordered {
            return self.unordered(tag::UNORDERED_MAP, iter.into_iter(), |encoder, (key, value)| {
                key.serialize(Value { encoder, packed: false, ordered: false })?;
                value.serialize(Value { encoder, packed: false, ordered: false })
            });
        }
        let mut compound = self.compound(tag::MAP);
        for (key, value) in iter {
            compound.value(&key, false)?;
            compound.value(&value, false)?;
        }
        compound.close()
    }
}

impl SerializeSeq for Compound<'_> {
    type Ok = ();
    type Error = Error;
    #[inline]
    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        self.value(value, true)
    }
    fn end(self) -> Result<(), Error> {
        self.close()
    }
}

impl SerializeTuple for Compound<'_> {
    type Ok = ();
    type Error = Error;
    #[inline]
    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        self.value(value, true)
    }
    fn end(self) -> Result<(), Error> {
        self.close()
    }
}

impl SerializeTupleStruct for Compound<'_> {
    type Ok = ();
    type Error = Error;
    fn serialize_field<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        self.value(value, true)
    }
    fn end(self) -> Result<(), Error> {
        self.close()
    }
}

impl SerializeTupleVariant for Compound<'_> {
    type Ok = ();
    type Error = Error;
    fn serialize_field<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        self.value(value, true)
    }
    fn end(self) -> Result<(), Error> {
        self.close()
    }
}

impl SerializeMap for Compound<'_> {
    type Ok = ();
    type Error = Error;
    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Error> {
        self.value(key, false)
    }
    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        self.value(value, false)
    }
    fn end(self) -> Result<(), Error> {
        self.close()
    }
}

impl SerializeStruct for Compound<'_> {
    type Ok = ();
    type Error = Error;
    fn serialize_field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<(), Error> {
        self.field(name, value)
    }
    fn end(self) -> Result<(), Error> {
        self.close()
    }
}

impl SerializeStructVariant for Compound<'_> {
    type Ok = ();
    type Error = Error;
    fn serialize_field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<(), Error> {
        self.field(name, value)
    }
    fn end(self) -> Result<(), Error> {
        self.close()
    }
}

#[cfg(test)]
mod tests;
