//! When an impl counts: which types and which trait its head names.
//!
//! Code calls impls without naming them (operators, `?`, `Drop`, `Display`), so an impl counts as soon as one of the
//! types in its head does. One whose head names nothing of ours counts always.

use std::collections::{BTreeSet, HashMap};
use std::ops::Range;

use crate::items::ItemKind;
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
}

/// All impls of the loaded crates.
#[derive(Debug, Default)]
pub struct Impls {
    known: HashMap<NodeId, Impl>,
    by_type: HashMap<NodeId, Vec<NodeId>>,
    by_trait: HashMap<NodeId, Vec<NodeId>>,
    /// Those of our traits for types that are not ours.
    by_trait_alone: HashMap<NodeId, Vec<NodeId>>,
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
        let mut own_trait = None;
        if let Some(of) = &of {
            let mut of_traits = BTreeSet::new();
            named(world, resolver, node, of.clone(), &mut types, &mut of_traits, 0);
            own_trait = of_traits.iter().copied().next();
            traits.extend(of_traits);
        }
        let inherent_type = types.iter().copied().find(|ty| world.nodes[*ty].kind == ItemKind::Type);
        if of.is_none()
            && let Some(ty) = inherent_type
        {
            world.inherent_impls.insert(node, ty);
        }
        for ty in &types {
            self.by_type.entry(*ty).or_default().push(node);
        }
        for of in &traits {
            self.by_trait.entry(*of).or_default().push(node);
        }
        if types.is_empty() {
            // Bounds count only here: who has none of our types may have our traits there.
            let mut bound_types = BTreeSet::new();
            named(world, resolver, node, bounds, &mut bound_types, &mut traits, 0);
            named(world, resolver, node, head.start..subject.start, &mut bound_types, &mut traits, 0);
            for ty in bound_types {
                self.by_type.entry(ty).or_default().push(node);
            }
            for of in &traits {
                self.by_trait_alone.entry(*of).or_default().push(node);
            }
            if traits.is_empty() && world.nodes[node].carrier.is_none() {
                self.always.push(node);
            }
        }
        let whole = of.is_some() && own_trait.is_none();
        self.known.insert(node, Impl { of: own_trait, whole });
    }

    /// What is known of an impl.
    pub fn get(&self, node: NodeId) -> Option<&Impl> {
        self.known.get(&node)
    }

    /// The impls that count when a type does.
    pub fn of_type(&self, node: NodeId) -> &[NodeId] {
        self.by_type.get(&node).map_or(&[], |impls| impls)
    }

    /// The impls of a trait for whatever type.
    pub fn of_trait(&self, node: NodeId) -> &[NodeId] {
        self.by_trait.get(&node).map_or(&[], |impls| impls)
    }

    /// The impls of a trait for types that are not ours.
    pub fn of_trait_alone(&self, node: NodeId) -> &[NodeId] {
        self.by_trait_alone.get(&node).map_or(&[], |impls| impls)
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
                ItemKind::Type | ItemKind::Call => {
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
                && world.inherent_impls.get(&container) == Some(&node)
        })
    })
}

/// The types that an impl is for.
pub fn self_types(world: &mut World, resolver: &mut Resolver, node: NodeId) -> Vec<NodeId> {
    let parts = header(world, node);
    let file = world.nodes[node].file;
    let module = world.nodes[node].module;
    let mut at = parts.subject.start;
    // References and the like do not change what `Self::m` finds first.
    while at < parts.subject.end && world.files[file].lexed.name(at).is_none() {
        at += 1;
    }
    let lexed = &world.files[file].lexed;
    let mut path = Vec::new();
    let absolute = at > 0 && lexed.is(at - 1, "::");
    while at < parts.subject.end && !lexed.name(at).is_none() {
        path.push(lexed.name(at));
        if !lexed.is(at + 1, "::") {
            break;
        }
        at += 2;
    }
    if path.is_empty() || path[0].is_keyword() {
        return Vec::new();
    }
    let meanings = resolver.resolve(world, module, &path, absolute);
    meanings
        .into_iter()
        .filter_map(|meaning| match meaning {
            Meaning::Node(node) if matches!(world.nodes[node].kind, ItemKind::Type) => Some(node),
            _ => None,
        })
        .collect()
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
    let step = |depth: &mut i32, at: usize| match lexed.tokens.text(at) {
        "<" => *depth += 1,
        ">" => *depth -= 1,
        ">>" => *depth -= 2,
        "<<" => *depth += 2,
        _ => {}
    };
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
        if depth == 0 && lexed.name(at) == Name::FOR && !lexed.is(at + 1, "<") && split.is_none() {
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
