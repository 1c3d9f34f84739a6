//! When an impl counts: which types and which trait its head names.
//!
//! Code calls impls without naming them (operators, `?`, `Drop`, `Display`), so an impl counts as soon as one of the
//! types in its head does, or its trait. One whose head names nothing of ours counts always. That the trait alone is enough
//! is meant for inference, which may choose an impl, and what it is for, where nobody names a type: `v.total()` of an empty
//! `Vec` finds `impl Total for Vec<B>`. It costs next to nothing: see docs/code-digest.md.

use std::collections::{BTreeSet, HashMap};
use std::ops::Range;

use crate::items::{self, ItemKind};
use crate::names::Name;
use crate::scope::{Meaning, Resolver};
use crate::world::{NodeId, World};

/// What is known of an impl.
#[derive(Clone, Debug)]
pub struct Impl {
    /// Its own trait, if that is ours.
    pub of: Option<NodeId>,
    /// Whether all its members count with it: foreign code may call them.
    pub whole: bool,
    /// Traits of ours in its bounds: what implements them is called through it.
    pub bounds: Vec<NodeId>,
    /// Other names in its bounds, where those alone say what is called through it.
    pub foreign_bounds: Vec<Name>,
}

/// All impls of the loaded crates.
#[derive(Debug, Default)]
pub struct Impls {
    known: HashMap<NodeId, Impl>,
    by_type: HashMap<NodeId, Vec<NodeId>>,
    by_trait: HashMap<NodeId, Vec<NodeId>>,
    /// Those of foreign traits, by the trait's name.
    by_foreign: HashMap<Name, Vec<NodeId>>,
    /// Those of foreign traits for foreign types, with a type of ours among the arguments, by their members' names.
    by_member: HashMap<Name, Vec<NodeId>>,
    /// The same by the crate of the trait, if that is not the standard library.
    by_crate: Vec<(Name, NodeId)>,
    always: Vec<NodeId>,
    done: usize,
}

impl Impls {
    /// Looks at the impls that were loaded since the last time. Tells which of them count always.
    pub fn update(&mut self, world: &mut World, resolver: &mut Resolver) -> Vec<NodeId> {
        let from = self.always.len();
        while self.done < world.impls.len() {
            let node = world.impls[self.done];
            self.done += 1;
            self.add(world, resolver, node);
        }
        self.always[from..].to_vec()
    }

    fn add(&mut self, world: &mut World, resolver: &mut Resolver, node: NodeId) {
        let Header { of, subject, bounds } = header(world, node);
        let head = world.nodes[node].head.clone();
        let mut types = BTreeSet::new();
        let mut traits = BTreeSet::new();
        named(world, resolver, node, subject.clone(), &mut types, &mut traits, 0);
        let (mut own_trait, mut foreign_trait) = (None, Vec::new());
        if let Some(of) = &of {
            named(world, resolver, node, of.clone(), &mut types, &mut traits, 0);
            // Its own trait is the one in front; others may stand among the arguments.
            if let Some((path, absolute)) = first_path(world, node, of.clone()) {
                let meanings = resolver.resolve(world, world.nodes[node].module, &path, absolute);
                own_trait = meanings.iter().find_map(|meaning| match meaning {
                    Meaning::Node(found) if world.nodes[*found].kind == ItemKind::Trait => Some(*found),
                    _ => None,
                });
                foreign_trait = match meanings.into_iter().next() {
                    Some(Meaning::Foreign(path)) => path,
                    _ => path,
                };
            }
        }
        let outermost = outermost(world, resolver, node, subject.clone(), 0);
        if of.is_none() {
            let all = || types.iter().copied().filter(|ty| world.nodes[*ty].kind == ItemKind::Type).collect();
            let of_types: Vec<NodeId> = outermost.clone().unwrap_or_else(all);
            if !of_types.is_empty() {
                world.inherent_impls.insert(node, of_types);
            }
        }
        for ty in &types {
            self.by_type.entry(*ty).or_default().push(node);
        }
        if let Some(of) = own_trait {
            self.by_trait.entry(of).or_default().push(node);
            traits.remove(&of);
        }
        // Bounds say what may be called through it.
        let (mut bound_types, mut bound_traits) = (BTreeSet::new(), BTreeSet::new());
        let generics = head.start..of.as_ref().map_or(subject.start, |of| of.start);
        for range in [bounds.clone(), generics.clone()] {
            named(world, resolver, node, range, &mut bound_types, &mut bound_traits, 0);
        }
        let foreign_bounds = if bound_traits.is_empty() {
            let lexed = &world.files[world.nodes[node].file].lexed;
            let names = generics.chain(bounds).map(|at| lexed.name(at));
            names.filter(|name| !name.is_none() && !name.is_keyword()).collect()
        } else {
            Vec::new()
        };
        let whole = of.is_some() && own_trait.is_none();
        if types.is_empty() {
            // Bounds count only here: who has none of our types may have our traits there.
            traits.extend(&bound_traits);
            for of in &traits {
                self.by_trait.entry(*of).or_default().push(node);
            }
            if traits.is_empty() && own_trait.is_none() && world.nodes[node].carrier.is_none() {
                self.always.push(node);
            }
        } else if outermost.is_none() {
            let lexed = &world.files[world.nodes[node].file].lexed;
            if lexed.is(subject.start, "<") && own_trait.is_none() {
                // For what an associated type is, which may be anything.
                self.always.push(node);
            } else if whole {
                for member in &world.nodes[node].members {
                    self.by_member.entry(world.nodes[*member].name).or_default().push(node);
                }
                let krate = foreign_trait.first().copied().unwrap_or(Name::NONE);
                if foreign_trait.len() > 1 && !matches!(krate, Name::STD | Name::CORE | Name::ALLOC) {
                    self.by_crate.push((krate, node));
                }
            }
        }
        if whole && let Some(name) = foreign_trait.last() {
            self.by_foreign.entry(*name).or_default().push(node);
        }
        let bounds = bound_traits.into_iter().collect();
        self.known.insert(node, Impl { of: own_trait, whole, bounds, foreign_bounds });
    }

    /// What is known of an impl.
    pub fn get(&self, node: NodeId) -> Option<&Impl> {
        self.known.get(&node)
    }

    /// The impls that count when a type does.
    pub fn of_type(&self, node: NodeId) -> &[NodeId] {
        self.by_type.get(&node).map_or(&[], |impls| impls)
    }

    /// The impls that count when a trait does.
    pub fn of_trait(&self, node: NodeId) -> &[NodeId] {
        self.by_trait.get(&node).map_or(&[], |impls| impls)
    }

    /// The impls of foreign traits of a name.
    pub fn of_foreign(&self, name: Name) -> &[NodeId] {
        self.by_foreign.get(&name).map_or(&[], |impls| impls)
    }

    /// The impls for foreign types that count when a method of a name is called.
    pub fn with_member(&self, name: Name) -> &[NodeId] {
        self.by_member.get(&name).map_or(&[], |impls| impls)
    }

    /// The impls for foreign types that count when the crate of their trait is used, each with that crate.
    pub fn with_crate(&self) -> &[(Name, NodeId)] {
        &self.by_crate
    }
}

/// The types and traits of ours that a range of tokens names.
fn named(
    world: &mut World,
    resolver: &mut Resolver,
    node: NodeId,
    range: Range<usize>,
    types: &mut BTreeSet<NodeId>,
    traits: &mut BTreeSet<NodeId>,
    depth: usize,
) {
    let (file, module) = (world.nodes[node].file, world.nodes[node].module);
    let mut at = range.start;
    while at < range.end {
        let lexed = &world.files[file].lexed;
        let name = lexed.name(at);
        if name.is_none() || name.is_keyword() {
            at += 1;
            continue;
        }
        let absolute = at > 0 && lexed.is(at - 1, "::") && (at < 2 || lexed.name(at - 2).is_none());
        let mut path = vec![name];
        at += 1;
        while lexed.is(at, "::") && !lexed.name(at + 1).is_none() {
            path.push(lexed.name(at + 1));
            at += 2;
        }
        if path[0] == Name::SELF_TYPE {
            continue;
        }
        for meaning in resolver.resolve(world, module, &path, absolute) {
            let (Meaning::Node(found) | Meaning::Member(found, _)) = meaning else { continue };
            match world.nodes[found].kind {
                ItemKind::Type => {
                    types.insert(found);
                }
                ItemKind::Trait => {
                    traits.insert(found);
                }
                ItemKind::Alias => {
                    types.insert(found);
                    if depth < 8 && found != node {
                        let range = world.nodes[found].head.clone();
                        named(world, resolver, found, range, types, traits, depth + 1);
                    }
                }
                _ => {}
            }
        }
    }
}

/// The members called `name` in inherent impls of a type.
pub fn inherent(world: &World, node: NodeId, name: Name) -> impl Iterator<Item = NodeId> {
    let members = world.members.get(&name).into_iter().flatten().copied();
    members.filter(move |member| {
        world.nodes[*member].container.is_some_and(|container| {
            world.nodes[container].kind == ItemKind::Impl
                && world.inherent_impls.get(&container).is_some_and(|types| types.contains(&node))
        })
    })
}

/// The types that an impl is for.
pub fn self_types(world: &mut World, resolver: &mut Resolver, node: NodeId) -> Vec<NodeId> {
    let parts = header(world, node);
    outermost(world, resolver, node, parts.subject, 0).unwrap_or_default()
}

/// The first path in a range, and whether it begins with `::`.
fn first_path(world: &World, node: NodeId, range: Range<usize>) -> Option<(Vec<Name>, bool)> {
    let lexed = &world.files[world.nodes[node].file].lexed;
    let mut at = range.clone().find(|at| !lexed.name(*at).is_none() && !lexed.name(*at).is_keyword())?;
    let absolute = at > range.start && lexed.is(at - 1, "::");
    let mut path = Vec::new();
    while at < range.end && !lexed.name(at).is_none() {
        path.push(lexed.name(at));
        if !lexed.is(at + 1, "::") {
            break;
        }
        at += 2;
    }
    Some((path, absolute))
}

/// The types of ours that a type is itself; `None` if it is something else (`&B`, `Vec<B>`), or may be.
fn outermost(
    world: &mut World,
    resolver: &mut Resolver,
    node: NodeId,
    range: Range<usize>,
    depth: usize,
) -> Option<Vec<NodeId>> {
    let (file, module) = (world.nodes[node].file, world.nodes[node].module);
    let lexed = &world.files[file].lexed;
    let at = range.start;
    let start = if lexed.is(at, "::") { at + 1 } else { at };
    if depth > 8 || lexed.name(start).is_none() || lexed.name(start).is_keyword() {
        return None;
    }
    let (path, absolute) = first_path(world, node, at..range.end)?;
    let mut found = Vec::new();
    for meaning in resolver.resolve(world, module, &path, absolute) {
        let Meaning::Node(inner) = meaning else { return None };
        match world.nodes[inner].kind {
            ItemKind::Type => found.push(inner),
            ItemKind::Alias => {
                let alias = world.nodes[inner].range.clone();
                let lexed = &world.files[world.nodes[inner].file].lexed;
                let equals = world.nodes[inner].head.clone().find(|at| lexed.is(*at, "="))?;
                found.extend(outermost(world, resolver, inner, equals + 1..alias.end, depth + 1)?);
            }
            // Of the same name in another namespace.
            ItemKind::Function | ItemKind::Constant | ItemKind::Static | ItemKind::Macro => {}
            _ => return None,
        }
    }
    (!found.is_empty()).then_some(found)
}

/// The parts of an impl's head.
#[derive(Clone, Debug)]
pub struct Header {
    /// The trait, if it is an impl of one.
    pub of: Option<Range<usize>>,
    /// The type that it is for.
    pub subject: Range<usize>,
    /// The bounds.
    pub bounds: Range<usize>,
}

/// Splits an impl's head.
pub fn header(world: &World, node: NodeId) -> Header {
    let head = world.nodes[node].head.clone();
    let lexed = &world.files[world.nodes[node].file].lexed;
    let end = if lexed.is(head.end.saturating_sub(1), "{") { head.end - 1 } else { head.end };
    let mut at = head.start;
    while at < end && lexed.name(at) != Name::IMPL {
        at += 1;
    }
    at += 1;
    let mut depth = 0_i32;
    let step = |depth: &mut i32, at: usize| *depth += items::angles(lexed, at);
    if lexed.is(at, "<") {
        loop {
            step(&mut depth, at);
            at = lexed.tokens.after(at);
            if depth <= 0 || at >= end {
                break;
            }
        }
    }
    let first = at;
    let (mut split, mut bounds) = (None, end);
    depth = 0;
    while at < end {
        step(&mut depth, at);
        // `for<'a>` belongs to what it stands in.
        let binder = lexed.is(at + 1, "<") && (lexed.tokens.is_lifetime(at + 2) || lexed.is(at + 2, ">"));
        if depth == 0 && lexed.name(at) == Name::FOR && !binder && split.is_none() {
            split = Some(at);
        }
        if depth == 0 && lexed.name(at) == Name::WHERE {
            bounds = at;
            break;
        }
        at = lexed.tokens.after(at);
    }
    match split {
        Some(split) => Header { of: Some(first..split), subject: split + 1..bounds, bounds: bounds..end },
        None => Header { of: None, subject: first..bounds, bounds: bounds..end },
    }
}
