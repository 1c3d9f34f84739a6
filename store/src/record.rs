//! Call records: what ran, what it observed, what came out; and their byte form.
//!
//! The byte form is little-endian and self-contained. Decoding arbitrary bytes gives `None`, never a panic.

use crate::digest::{CallId, CallKey, DependencyId, Digest, TypeFingerprint, ValueDigest};

/// What a call is: the function and the arguments it was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Full function name with type arguments.
    pub function: String,
    /// The package that defines it.
    pub package: String,
    /// The module in that package.
    pub module: String,
    /// The arguments that count.
    pub arguments: Vec<Argument>,
}

/// One argument of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Argument {
    /// The parameter's name.
    pub name: String,
    /// The canonical digest of the value.
    pub digest: ValueDigest,
    /// Bytes to restore it from, if they are few; large ones are stored as a value under the digest.
    pub encoded: Option<Vec<u8>>,
}

impl Identity {
    /// The digest of this identity. Argument names do not count: renaming a parameter is not another call.
    pub fn id(&self) -> CallId {
        CallId::of(&self.function, &self.package, &self.module, self.arguments.iter().map(|a| a.digest))
    }
}

impl CallId {
    /// The identity of calling `function` of `package::module` with these arguments.
    pub fn of(
        function: &str,
        package: &str,
        module: &str,
        arguments: impl IntoIterator<Item = ValueDigest>,
    ) -> Self {
        // One buffer and one call of the hasher: this is on the engine's hot path.
        let mut bytes = Vec::with_capacity(256);
        bytes.extend_from_slice(b"fleche call 1\0");
        for part in [function, package, module] {
            bytes.extend_from_slice(&(part.len() as u64).to_le_bytes());
            bytes.extend_from_slice(part.as_bytes());
        }
        for argument in arguments {
            bytes.extend_from_slice(argument.as_bytes());
        }
        Self::new(Digest::of(&bytes))
    }
}

/// Something that an execution observed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Dependency {
    /// An input from outside. Kinds and names are the engine's.
    Input {
        /// What sort of input.
        kind: u16,
        /// Its name, such as a path relative to the project.
        name: Vec<u8>,
    },
    /// Another call, by identity.
    Call(CallId),
}

impl Dependency {
    /// The digest that names this dependency.
    pub fn id(&self) -> DependencyId {
        match self {
            Self::Input { kind, name } => {
                let mut bytes = Vec::with_capacity(32 + name.len());
                bytes.extend_from_slice(b"fleche input 1\0");
                bytes.extend_from_slice(&kind.to_le_bytes());
                bytes.extend_from_slice(name);
                DependencyId::new(Digest::of(&bytes))
            }
            // Already a digest over a domain of its own.
            Self::Call(id) => DependencyId::new(id.digest()),
        }
    }
}

/// One dependency of a trace and the digest that was observed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Edge {
    /// What was observed.
    pub dependency: Dependency,
    /// The digest it had.
    pub observed: Digest,
}

/// Where a result is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Stored {
    /// The canonical digest of the result.
    pub digest: ValueDigest,
    /// The fingerprint of its type.
    pub fingerprint: TypeFingerprint,
}

/// What one execution of a call left behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The call.
    pub identity: Identity,
    /// The call under this code.
    pub key: CallKey,
    /// What was observed, in order.
    pub trace: Vec<Edge>,
    /// What came out.
    pub result: Stored,
    /// Free-form metadata.
    pub meta: Vec<(String, String)>,
    /// Unix time in milliseconds. For people; never compared.
    pub created_ms: i64,
    /// Logical time, set by the store.
    pub clock: u64,
}

/// The version of the byte form below.
const VERSION: u8 = 1;

impl Record {
    /// Is this what `other` says, but for time and metadata?
    pub fn says_the_same(&self, other: &Self) -> bool {
        self.key == other.key && self.result == other.result && self.trace == other.trace
    }

    /// A check over the trace: equal traces, and only those, have equal ones.
    pub(crate) fn trace_check(&self) -> u128 {
        let mut bytes = Vec::with_capacity(128);
        self.encode_trace(&mut bytes);
        xxhash_rust::xxh3::xxh3_128(&bytes)
    }

    fn encode_trace(&self, out: &mut Vec<u8>) {
        put_count(out, self.trace.len());
        for edge in &self.trace {
            match &edge.dependency {
                Dependency::Input { kind, name } => {
                    out.push(0);
                    out.extend_from_slice(&kind.to_le_bytes());
                    put_bytes(out, name);
                }
                Dependency::Call(id) => {
                    out.push(1);
                    out.extend_from_slice(id.as_bytes());
                }
            }
            out.extend_from_slice(edge.observed.as_bytes());
        }
    }

    /// Appends the byte form. The clock comes first and the call second, so that an index is built from a prefix.
    pub(crate) fn encode(&self, call: &CallId, clock: u64, out: &mut Vec<u8>) {
        out.extend_from_slice(&clock.to_le_bytes());
        out.extend_from_slice(call.as_bytes());
        out.extend_from_slice(self.result.digest.as_bytes());
        out.extend_from_slice(&self.result.fingerprint.0.to_le_bytes());
        out.extend_from_slice(&self.created_ms.to_le_bytes());
        out.push(VERSION);
        self.encode_trace(out);
        put_bytes(out, self.identity.function.as_bytes());
        put_bytes(out, self.identity.package.as_bytes());
        put_bytes(out, self.identity.module.as_bytes());
        put_count(out, self.identity.arguments.len());
        for argument in &self.identity.arguments {
            put_bytes(out, argument.name.as_bytes());
            out.extend_from_slice(argument.digest.as_bytes());
            match &argument.encoded {
                None => out.push(0),
                Some(bytes) => {
                    out.push(1);
                    put_bytes(out, bytes);
                }
            }
        }
        put_count(out, self.meta.len());
        for (key, value) in &self.meta {
            put_bytes(out, key.as_bytes());
            put_bytes(out, value.as_bytes());
        }
    }

    /// Reads the byte form back. `None` for anything else.
    pub(crate) fn decode(key: CallKey, bytes: &[u8]) -> Option<Self> {
        let mut from = Reader(bytes);
        let clock = from.u64()?;
        let _call = from.digest()?;
        let result =
            Stored { digest: ValueDigest::new(from.digest()?), fingerprint: TypeFingerprint(from.u64()?) };
        let created_ms = i64::from_le_bytes(from.array()?);
        if from.byte()? != VERSION {
            return None;
        }
        let mut trace = Vec::with_capacity(from.capacity()?);
        for _ in 0..from.count()? {
            let dependency = match from.byte()? {
                0 => Dependency::Input {
                    kind: u16::from_le_bytes(from.array()?),
                    name: from.bytes()?.to_vec(),
                },
                1 => Dependency::Call(CallId::new(from.digest()?)),
                _ => return None,
            };
            trace.push(Edge { dependency, observed: from.digest()? });
        }
        let function = from.text()?;
        let package = from.text()?;
        let module = from.text()?;
        let mut arguments = Vec::with_capacity(from.capacity()?);
        for _ in 0..from.count()? {
            let name = from.text()?;
            let digest = ValueDigest::new(from.digest()?);
            let encoded = match from.byte()? {
                0 => None,
                1 => Some(from.bytes()?.to_vec()),
                _ => return None,
            };
            arguments.push(Argument { name, digest, encoded });
        }
        let mut meta = Vec::with_capacity(from.capacity()?);
        for _ in 0..from.count()? {
            meta.push((from.text()?, from.text()?));
        }
        let identity = Identity { function, package, module, arguments };
        // The frame's check vouches for the rest; that the call is the identity's is a matter for `verify`.
        from.0.is_empty().then_some(Self { identity, key, trace, result, meta, created_ms, clock })
    }
}

/// So many bytes of a record's byte form are enough for [`clock_and_call`].
pub(crate) const HEAD: usize = 40;

/// The prefix of a record's byte form that ordering needs: clock and call.
pub(crate) fn clock_and_call(bytes: &[u8]) -> Option<(u64, CallId)> {
    let mut from = Reader(bytes);
    Some((from.u64()?, CallId::new(from.digest()?)))
}

fn put_count(out: &mut Vec<u8>, count: usize) {
    out.extend_from_slice(&(count as u64).to_le_bytes()[..4]);
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_count(out, bytes.len());
    out.extend_from_slice(bytes);
}

/// A cursor that never reads past its end.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (now, later) = self.0.split_at_checked(length)?;
        self.0 = later;
        Some(now)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn byte(&mut self) -> Option<u8> {
        Some(self.array::<1>()?[0])
    }

    fn u64(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(self.array()?))
    }

    fn digest(&mut self) -> Option<Digest> {
        Some(Digest::from_bytes(self.array()?))
    }

    fn count(&mut self) -> Option<usize> {
        usize::try_from(u32::from_le_bytes(self.array()?)).ok()
    }

    /// The count that comes next, bounded by what could still follow, so that damage allocates nothing absurd.
    fn capacity(&self) -> Option<usize> {
        Some(Reader(self.0).count()?.min(self.0.len() / 8))
    }

    fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = self.count()?;
        self.take(length)
    }

    fn text(&mut self) -> Option<String> {
        std::str::from_utf8(self.bytes()?).ok().map(str::to_owned)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Record {
        let value = |i: u8| ValueDigest::new(Digest::of(&[i]));
        Record {
            identity: Identity {
                function: "demo::count".into(),
                package: "demo".into(),
                module: "demo::words".into(),
                arguments: vec![
                    Argument { name: "path".into(), digest: value(1), encoded: Some(b"book.txt".to_vec()) },
                    Argument { name: "n".into(), digest: value(2), encoded: None },
                ],
            },
            key: CallKey::new(Digest::of(b"key")),
            trace: vec![
                Edge {
                    dependency: Dependency::Input { kind: 3, name: b"a/b".to_vec() },
                    observed: Digest::of(b"o"),
                },
                Edge {
                    dependency: Dependency::Call(CallId::new(Digest::of(b"c"))),
                    observed: Digest::of(b"p"),
                },
            ],
            result: Stored { digest: value(3), fingerprint: TypeFingerprint(17) },
            meta: vec![("tag".into(), "x".into())],
            created_ms: -5,
            clock: 42,
        }
    }

    fn bytes(record: &Record) -> Vec<u8> {
        let mut out = Vec::new();
        record.encode(&record.identity.id(), record.clock, &mut out);
        out
    }

    #[test]
    fn records_round_trip() {
        let record = sample();
        let bytes = bytes(&record);
        assert_eq!(clock_and_call(&bytes), Some((42, record.identity.id())));
        assert_eq!(Record::decode(record.key, &bytes), Some(record));
    }

    #[test]
    fn cut_or_extended_bytes_are_no_record() {
        let record = sample();
        let mut bytes = bytes(&record);
        for length in 0..bytes.len() {
            assert_eq!(Record::decode(record.key, &bytes[..length]), None, "{length}");
        }
        bytes.push(0);
        assert_eq!(Record::decode(record.key, &bytes), None);
    }

    #[test]
    fn flipped_bytes_never_panic() {
        let record = sample();
        let clean = bytes(&record);
        for at in 0..clean.len() {
            for bit in 0..8 {
                let mut bytes = clean.clone();
                bytes[at] ^= 1 << bit;
                let _ = Record::decode(record.key, &bytes);
            }
        }
    }

    #[test]
    fn parts_of_an_identity_do_not_run_together() {
        assert_ne!(CallId::of("ab", "c", "", []), CallId::of("a", "bc", "", []));
        assert_ne!(CallId::of("a", "b", "c", []), CallId::of("b", "a", "c", []));
        let value = ValueDigest::new(Digest::of(b"1"));
        assert_ne!(CallId::of("a", "b", "c", [value]), CallId::of("a", "b", "c", [value, value]));
    }

    #[test]
    fn inputs_differ_by_kind_and_name() {
        let id = |kind, name: &[u8]| Dependency::Input { kind, name: name.to_vec() }.id();
        assert_ne!(id(1, b"a"), id(2, b"a"));
        assert_ne!(id(1, b"a"), id(1, b"b"));
        let call = CallId::of("a", "b", "c", []);
        assert_eq!(Dependency::Call(call).id().digest(), call.digest());
    }
}
