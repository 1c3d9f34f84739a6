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

use self::encoder::{Encoder, RunKind, tag};
use crate::digest::{Digest, ValueDigest};

mod bulk;
mod encoder;

/// Encodings up to this many bytes are kept as they are.
pub const INLINE: usize = 128;

/// The name of the newtype struct whose content does not count.
pub const IGNORED: &str = "$fleche::Ignored";

/// The name of the newtype struct that keeps the order of the map or set directly inside.
pub const ORDERED: &str = "$fleche::Ordered";

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
    Ok(encode(value, &mut [0; INLINE])?.digest())
}

/// The canonical encoding of a value: in `space` if it is short, else its digest.
///
/// ```
/// use fleche_store::canonical::{Encoded, INLINE, encode};
///
/// let mut space = [0; INLINE];
/// assert!(matches!(encode("short", &mut space)?, Encoded::Short(_)));
/// assert!(matches!(encode(&"long".repeat(100), &mut space)?, Encoded::Long(_)));
/// # Ok::<(), fleche_store::canonical::Error>(())
/// ```
///
/// # Errors
///
/// If the value's own `Serialize` refuses.
#[inline]
pub fn encode<'a, T: Serialize + ?Sized>(
    value: &T,
    space: &'a mut [u8; INLINE],
) -> Result<Encoded<'a>, Error> {
    let mut encoder = Encoder::new(space);
    value.serialize(Value { encoder: &mut encoder, packed: false, ordered: false })?;
    Ok(encoder.finish())
}

/// What [`encode`] gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoded<'a> {
    /// The canonical bytes, of which there are at most [`INLINE`].
    Short(&'a [u8]),
    /// The canonical digest of a value that has more.
    Long(ValueDigest),
}

impl Encoded<'_> {
    /// The canonical digest of the value.
    pub fn digest(&self) -> ValueDigest {
        match self {
            Self::Short(bytes) => ValueDigest::new(Digest::of(bytes)),
            Self::Long(digest) => *digest,
        }
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
struct Value<'a, 'b> {
    encoder: &'a mut Encoder<'b>,
    /// This value is an element of a sequence: scalars go into runs.
    packed: bool,
    /// An unordered container keeps its order after all.
    ordered: bool,
}

impl<'a, 'b> Value<'a, 'b> {
    fn compound(self, tag: u8) -> Compound<'a, 'b> {
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
        mut encode: impl FnMut(&mut Encoder<'_>, T) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut digests = Vec::with_capacity(entries.size_hint().0);
        for entry in entries {
            let mut space = [0; INLINE];
            let mut encoder = Encoder::new(&mut space);
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
struct Compound<'a, 'b> {
    encoder: &'a mut Encoder<'b>,
}

impl Compound<'_, '_> {
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

impl<'a, 'b> Serializer for Value<'a, 'b> {
    type Ok = ();
    type Error = Error;
    type SerializeSeq = Compound<'a, 'b>;
    type SerializeTuple = Compound<'a, 'b>;
    type SerializeTupleStruct = Compound<'a, 'b>;
    type SerializeTupleVariant = Compound<'a, 'b>;
    type SerializeMap = Compound<'a, 'b>;
    type SerializeStruct = Compound<'a, 'b>;
    type SerializeStructVariant = Compound<'a, 'b>;

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

    fn serialize_seq(self, _: Option<usize>) -> Result<Compound<'a, 'b>, Error> {
        Ok(self.compound(tag::SEQ))
    }

    fn serialize_tuple(self, _: usize) -> Result<Compound<'a, 'b>, Error> {
        Ok(self.compound(tag::TUPLE))
    }

    fn serialize_tuple_struct(self, name: &'static str, _: usize) -> Result<Compound<'a, 'b>, Error> {
        self.encoder.named(tag::TUPLE_STRUCT, name);
        Ok(Compound { encoder: self.encoder })
    }

    fn serialize_tuple_variant(
        self,
        name: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Compound<'a, 'b>, Error> {
        self.encoder.variant(tag::TUPLE_VARIANT, name, variant);
        Ok(Compound { encoder: self.encoder })
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Compound<'a, 'b>, Error> {
        Ok(self.compound(tag::MAP))
    }

    fn serialize_struct(self, name: &'static str, _: usize) -> Result<Compound<'a, 'b>, Error> {
        self.encoder.named(tag::STRUCT, name);
        Ok(Compound { encoder: self.encoder })
    }

    fn serialize_struct_variant(
        self,
        name: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Compound<'a, 'b>, Error> {
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
        let iter = iter.into_iter();
        if !bulk::encode(compound.encoder, &iter) {
            for item in iter {
                compound.value(&item, true)?;
            }
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

impl SerializeSeq for Compound<'_, '_> {
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

impl SerializeTuple for Compound<'_, '_> {
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

impl SerializeTupleStruct for Compound<'_, '_> {
    type Ok = ();
    type Error = Error;
    fn serialize_field<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        self.value(value, true)
    }
    fn end(self) -> Result<(), Error> {
        self.close()
    }
}

impl SerializeTupleVariant for Compound<'_, '_> {
    type Ok = ();
    type Error = Error;
    fn serialize_field<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        self.value(value, true)
    }
    fn end(self) -> Result<(), Error> {
        self.close()
    }
}

impl SerializeMap for Compound<'_, '_> {
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

impl SerializeStruct for Compound<'_, '_> {
    type Ok = ();
    type Error = Error;
    fn serialize_field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<(), Error> {
        self.field(name, value)
    }
    fn end(self) -> Result<(), Error> {
        self.close()
    }
}

impl SerializeStructVariant for Compound<'_, '_> {
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
