//! Images: what a process leaves of its graph, so that the next one need not put it together from records.
//!
//! An image is a copy of memos: for each call its key, its result and what it depends on, as tables that are mapped and
//! read where they lie. It says nothing of what holds now. A call that comes from it is verified like any other that
//! the graph knows, so it may be lost, old, or of another version of the program; but it must not bring back a result
//! that a forced run replaced or that somebody evicted, for which the store keeps count (see `Store::overruled`).
//!
//! Functions whose code differs from what it was are left out when it is read.

use std::cmp::Ordering;
use std::fmt;
use std::path::Path;

use fleche_store::{CallId, CallKey, Digest, Store, Stored, TypeFingerprint, ValueDigest};

use crate::fingerprint;
use crate::flat::Flats;
use crate::input::InputId;
use crate::registry::{self, Definition};
use crate::value::View;

/// A graph of fewer calls is not worth an image: the records are read as fast.
pub(crate) const LEAST: usize = 512;

/// As long as so few calls are known, their records are read as fast as an image is checked.
pub(crate) const WORTH: usize = 64;

/// The tables.
#[fleche_macros::value(crate = crate)]
#[derive(Debug, Default)]
pub(crate) struct Tables {
    functions: Vec<Function>,
    inputs: Vec<Observed>,
    calls: Vec<Known>,
    /// Of each call, apart from the rest: a walk through many calls reads nothing else of them.
    spans: Vec<Span>,
    /// What the calls depend on, in order, one call's after the other's: twice the place in `inputs`, or twice the place
    /// in `calls` and one.
    links: Vec<u32>,
    /// Places in `calls`, in the order of the calls' digests.
    order: Vec<u32>,
}

#[fleche_macros::value(crate = crate)]
#[derive(Debug)]
struct Function {
    name: String,
    package: String,
    module: String,
    /// See [`material`].
    material: [u8; 32],
}

/// An input with a digest that it had.
#[fleche_macros::value(crate = crate)]
#[derive(Debug)]
struct Observed {
    kind: u16,
    name: Vec<u8>,
    digest: [u8; 32],
}

/// A call with what it came to.
#[fleche_macros::value(crate = crate)]
#[derive(Debug)]
struct Known {
    call: [u8; 32],
    key: [u8; 32],
    result: [u8; 32],
}

/// The function that a call is of, and where its links end; they begin where those of the call before it end.
#[fleche_macros::value(crate = crate)]
#[derive(Debug)]
struct Span {
    function: u32,
    end: u32,
}

/// Stands for all that a function's keys are made of but the calls.
fn material(definition: &Definition) -> Option<(CallKey, TypeFingerprint)> {
    let fingerprint = (definition.fingerprint?)();
    let nobody = CallId::new(Digest::from_bytes([0; 32]));
    Some((definition.key(nobody, fingerprint), fingerprint))
}

/// Under which name this program's images are kept: one program's are no use to another.
fn name() -> Option<Digest> {
    let program = std::env::current_exe().ok()?;
    let program = Path::new(program.file_name()?);
    // Test binaries carry a hash of how they were compiled.
    let stem = program.file_stem()?.to_string_lossy();
    let stem = match stem.rsplit_once('-') {
        Some((stem, hash)) if hash.len() == 16 && hash.bytes().all(|digit| digit.is_ascii_hexdigit()) => stem,
        _ => &stem,
    };
    let mut bytes = b"fleche image\0".to_vec();
    bytes.extend_from_slice(&fingerprint::of::<Tables>().0.to_le_bytes());
    bytes.extend_from_slice(stem.as_bytes());
    Some(Digest::of(&bytes))
}

/// An image that an earlier process left.
pub(crate) struct Image {
    tables: View<Tables>,
    /// The functions that this program has with the same code, by place.
    functions: Vec<Option<(&'static Definition, TypeFingerprint)>>,
    /// How often records had been overruled when it was read.
    pub(crate) overruled: u64,
    pub(crate) flats: Flats,
}

impl fmt::Debug for Image {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.debug_struct("Image").field("calls", &self.len()).finish_non_exhaustive()
    }
}

/// A call in an image.
pub(crate) struct Entry<'a> {
    pub(crate) key: CallKey,
    pub(crate) result: Stored,
    pub(crate) definition: &'static Definition,
    pub(crate) links: Links<'a>,
}

/// What a call in an image depends on.
pub(crate) enum Target {
    /// The input at that place.
    Input(usize),
    /// The call at that place.
    Call(usize),
}

/// What a call in an image depends on, in order.
#[derive(Clone, Copy)]
pub(crate) struct Links<'a>(&'a [rkyv::rend::u32_le]);

impl<'a> Links<'a> {
    pub(crate) fn iter(self) -> impl ExactSizeIterator<Item = Target> + use<'a> {
        self.0.iter().map(|link| {
            let place = (link.to_native() >> 1) as usize;
            if link.to_native() & 1 == 0 { Target::Input(place) } else { Target::Call(place) }
        })
    }
}

impl Image {
    /// The image that an earlier process of this program left in the store, if nothing was overruled since.
    pub(crate) fn load(store: &Store) -> Option<Self> {
        // Before it is read: what is overruled meanwhile counts.
        let overruled = store.overruled().ok()?;
        let tables = View::<Tables>::checked(store.aside(&name()?).ok()??)?;
        let functions = tables
            .functions
            .iter()
            .map(|function| {
                let definition = registry::named(&function.name, &function.package, &function.module)?;
                let (material, fingerprint) = material(definition)?;
                (*material.digest().as_bytes() == function.material).then_some((definition, fingerprint))
            })
            .collect();
        Some(Self { tables, functions, overruled, flats: Flats::default() })
    }

    /// How many calls there are.
    pub(crate) fn len(&self) -> usize {
        self.tables.calls.len()
    }

    /// How many inputs there are, each as often as it has digests.
    pub(crate) fn inputs(&self) -> usize {
        self.tables.inputs.len()
    }

    /// Where the call is.
    pub(crate) fn find(&self, call: CallId) -> Option<usize> {
        let at = self
            .tables
            .order
            .binary_search_by(|place| match self.call(place.to_native() as usize) {
                Some(found) => found.digest().as_bytes().cmp(call.digest().as_bytes()),
                None => Ordering::Less,
            })
            .ok()?;
        Some(self.tables.order[at].to_native() as usize)
    }

    /// The call at that place.
    pub(crate) fn call(&self, place: usize) -> Option<CallId> {
        Some(CallId::new(Digest::from_bytes(self.tables.calls.get(place)?.call)))
    }

    /// The result of the call at that place.
    pub(crate) fn result(&self, place: usize) -> Option<Digest> {
        Some(Digest::from_bytes(self.tables.calls.get(place)?.result))
    }

    /// The input at that place, as it stands in traces, and a digest that it had.
    pub(crate) fn input(&self, place: usize) -> Option<(u16, &[u8], Digest)> {
        let input = self.tables.inputs.get(place)?;
        Some((input.kind.to_native(), &input.name, Digest::from_bytes(input.digest)))
    }

    /// What the image knows of the call at that place, if this program has its function as it was.
    pub(crate) fn entry(&self, place: usize) -> Option<Entry<'_>> {
        let known = self.tables.calls.get(place)?;
        let (function, links) = self.span(place)?;
        let (definition, fingerprint) = (*self.functions.get(function)?)?;
        Some(Entry {
            key: CallKey::new(Digest::from_bytes(known.key)),
            result: Stored { digest: ValueDigest::new(Digest::from_bytes(known.result)), fingerprint },
            definition,
            links,
        })
    }

    /// What the call at that place depends on, if this program has its function as it was.
    pub(crate) fn links(&self, place: usize) -> Option<Links<'_>> {
        let (function, links) = self.span(place)?;
        self.functions.get(function)?.is_some().then_some(links)
    }

    fn span(&self, place: usize) -> Option<(usize, Links<'_>)> {
        let begin = match place.checked_sub(1) {
            Some(before) => self.tables.spans.get(before)?.end.to_native(),
            None => 0,
        };
        let span = self.tables.spans.get(place)?;
        let links = self.tables.links.get(begin as usize..span.end.to_native() as usize)?;
        Some((span.function.to_native() as usize, Links(links)))
    }
}

/// An image that is being made.
#[derive(Default)]
pub(crate) struct Maker {
    tables: Tables,
    functions: foldhash::HashMap<*const Definition, Option<(u32, TypeFingerprint)>>,
    inputs: foldhash::HashMap<(InputId, Digest), u32>,
}

/// Something has more than four billion of them.
pub(crate) struct TooMany;

impl Maker {
    /// Enters a function; `None` if this program does not find it by its name, or a call of it has keys of its own.
    pub(crate) fn function(&mut self, definition: &'static Definition) -> Option<(u32, TypeFingerprint)> {
        let next = u32::try_from(self.tables.functions.len()).ok()?;
        *self.functions.entry(definition).or_insert_with(|| {
            let name = (definition.full_name)();
            let found = registry::named(name, definition.package, definition.module)?;
            let (material, fingerprint) = material(found).filter(|_| std::ptr::eq(found, definition))?;
            self.tables.functions.push(Function {
                name: name.into(),
                package: definition.package.into(),
                module: definition.module.into(),
                material: *material.digest().as_bytes(),
            });
            Some((next, fingerprint))
        })
    }

    /// Enters an input with a digest. `name`: its kind and name in traces.
    pub(crate) fn input(
        &mut self,
        input: InputId,
        digest: Digest,
        name: impl FnOnce() -> (u16, Vec<u8>),
    ) -> Result<(), TooMany> {
        let next = u32::try_from(self.tables.inputs.len()).ok().filter(|next| *next < 1 << 31);
        let next = next.ok_or(TooMany)?;
        let place = *self.inputs.entry((input, digest)).or_insert_with(|| {
            let (kind, name) = name();
            self.tables.inputs.push(Observed { kind, name, digest: *digest.as_bytes() });
            next
        });
        self.tables.links.push(place << 1);
        Ok(())
    }

    /// Enters a link to a call that was entered.
    pub(crate) fn link(&mut self, call: u32) {
        self.tables.links.push(call << 1 | 1);
    }

    /// Enters the call that the links since the last one are of. Gives its place.
    pub(crate) fn call(
        &mut self,
        call: CallId,
        key: CallKey,
        result: Digest,
        function: u32,
    ) -> Result<u32, TooMany> {
        let place = u32::try_from(self.tables.calls.len()).ok().filter(|place| *place < 1 << 31);
        let end = u32::try_from(self.tables.links.len()).map_err(|_| TooMany)?;
        self.tables.calls.push(Known {
            call: *call.digest().as_bytes(),
            key: *key.digest().as_bytes(),
            result: *result.as_bytes(),
        });
        self.tables.spans.push(Span { function, end });
        place.ok_or(TooMany)
    }

    /// How many calls were entered.
    pub(crate) fn len(&self) -> usize {
        self.tables.calls.len()
    }

    /// Leaves it in the store. `overruled`: what the store said before the graph learned anything from it.
    pub(crate) fn save(mut self, store: &Store, overruled: u64) -> Option<()> {
        let tables = &mut self.tables;
        tables.order = (0..u32::try_from(tables.calls.len()).ok()?).collect();
        tables.order.sort_unstable_by_key(|place| tables.calls[*place as usize].call);
        let bytes = rkyv::to_bytes::<rkyv::rancor::Error>(tables).ok()?;
        store.put_aside(&name()?, overruled, &bytes).ok()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::files::Files;
    use crate::graph::Graph;

    static NUMBER: Definition = Definition {
        name: "number",
        package: "p",
        module: "m",
        version: "",
        code: None,
        binary: false,
        covers: "",
        parameters: &[],
        file: "",
        line: 0,
        full_name: || "p::m::number",
        fingerprint: Some(|| TypeFingerprint(1)),
        recall: None,
    };

    fn byte(byte: u8) -> [u8; 32] {
        [byte; 32]
    }

    fn tables() -> impl Strategy<Value = Tables> {
        let call = (0..12_u8, any::<u8>(), 0..3_u32, 0..40_u32);
        let input = (0..20_u16, any::<Vec<u8>>(), any::<u8>());
        let links = prop::collection::vec(prop_oneof![0..30_u32, any::<u32>()], 0..40);
        let order = prop::collection::vec(prop_oneof![0..14_u32, any::<u32>()], 0..14);
        let calls = prop::collection::vec(call, 0..14);
        (calls, prop::collection::vec(input, 0..5), links, order).prop_map(|(calls, inputs, links, order)| {
            // Mostly as many as there are calls.
            let spans = calls.iter().filter(|(.., end)| *end != 7);
            let spans = spans.map(|(.., function, end)| Span { function: *function, end: *end }).collect();
            let calls = calls.into_iter().map(|(call, result, ..)| Known {
                call: byte(call),
                key: byte(call),
                result: byte(result),
            });
            let inputs =
                inputs.into_iter().map(|(kind, name, digest)| Observed { kind, name, digest: byte(digest) });
            let (calls, inputs) = (calls.collect(), inputs.collect());
            Tables { functions: Vec::new(), inputs, calls, spans, links, order }
        })
    }

    #[test]
    fn calls_of_functions_that_differ_are_not_in_it() {
        let known = |call| Known { call: byte(call), key: byte(call), result: byte(call) };
        let tables = Tables {
            calls: vec![known(0), known(1)],
            spans: vec![Span { function: 0, end: 1 }, Span { function: 1, end: 2 }],
            links: vec![0, 1],
            order: vec![0, 1],
            ..Tables::default()
        };
        let bytes = rkyv::to_bytes::<rkyv::rancor::Error>(&tables).unwrap();
        let tables = View::checked(fleche_store::Bytes::copied(&bytes)).unwrap();
        let functions = vec![Some((&NUMBER, TypeFingerprint(1))), None];
        let image = Image { tables, functions, overruled: 0, flats: Flats::default() };
        let known = |place| (image.entry(place).is_some(), image.links(place).is_some());
        assert_eq!([0, 1, 2].map(known), [(true, true), (false, false), (false, false)]);
    }

    proptest! {
        /// What the checksum vouches for may still have been written by a program with a mistake.
        #[test]
        fn tables_that_make_no_sense_lead_to_no_panic_and_to_an_end(tables in tables()) {
            let bytes = rkyv::to_bytes::<rkyv::rancor::Error>(&tables).unwrap();
            let tables = View::checked(fleche_store::Bytes::copied(&bytes)).unwrap();
            let fingerprint = TypeFingerprint(1);
            let functions = vec![Some((&NUMBER, fingerprint)), None];
            let image = Image { tables, functions, overruled: 0, flats: Flats::default() };
            let graph = Graph::new();
            let files = Files::new("/".into(), None);
            for call in 0..14 {
                let call = CallId::new(Digest::from_bytes(byte(call)));
                image.find(call).into_iter().for_each(|at| graph.import(&image, at, &files));
                graph.memo(graph.node(call));
            }
            prop_assert!(graph.imported() <= image.len());
            let _ = graph.image(Some(&image), &files, 0);
        }
    }
}
