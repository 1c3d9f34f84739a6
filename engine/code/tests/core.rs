//! What one closure found out serves the next, and changes nothing: each is what it would be if it were the only one.

mod common;

use std::collections::{BTreeMap, HashSet};
use std::fmt::Write as _;

use fleche_code::CodeDigest;
use fleche_code::closure::Analysis;
use fleche_code::compiler::Invocation;
use fleche_code::items::ItemKind;
use fleche_code::report::Covered;
use fleche_code::session::{Cached, Function, Session};
use fleche_code::world::World;

/// A crate of many types that know one another, with calls of methods in both directions across its edge, and with files,
/// variables, options, other crates and objects on both sides of it.
fn knotted() -> String {
    let mut text = String::from(
        "//- Cargo.toml\n[package]\nname = \"demo\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\
         [dependencies]\nnear = { path = \"near\" }\nnext = { path = \"next\" }\nalien = \"1\"\nother = \"1\"\n\
         //- near/Cargo.toml\n[package]\nname = \"near\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\
         //- near/src/lib.rs\npub mod inner { pub fn there() -> u32 { 1 } pub struct N; impl N { pub fn alone(&self) -> u32 { 2 } } }\n\
         //- next/Cargo.toml\n[package]\nname = \"next\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\
         //- next/src/lib.rs\npub mod inner { pub fn there() -> u32 { 1 } }\n\
         //- src/far.txt\n1\n//- src/core.txt\n2\n\
         //- src/lib.rs\npub trait Odd { fn odd(&self) -> u32 { 0 } } pub trait Even { fn even(&self) -> u32 { 0 } }\n\
         impl<T: Odd> Even for Vec<T> { fn even(&self) -> u32 { self[0].odd() } }\npub trait Step { fn step(&self) -> u32; fn other(&self) -> u32 { 0 } fn rare(&self) -> u32 { 1 } }\n\
         make_all!(nothing); use std::cmp::min as pick; mod far { pub fn go(x: u32) -> u32 { x } } use far::go as gone;\n",
    );
    for n in 0..200 {
        let (next, far) = ((n + 1) % 200, (n * 7 + 3) % 200);
        let _ = writeln!(
            text,
            "pub struct S{n}(pub Option<Box<S{next}>>); impl Step for S{n} {{ fn step(&self) -> u32 {{ pick(help{far}(), 1) }} }}\n\
             impl S{n} {{ pub fn only{n}(&self) -> u32 {{ {n} }} pub fn shared(&self) -> u32 {{ S{far}(None).step() }} }}\n\
             pub fn help{n}() -> u32 {{ S{next}(None).shared() }}"
        );
        if n == 100 {
            text.push_str("impl Drop for S100 { fn drop(&mut self) { self.deep(); } }\n");
        }
    }
    text.push_str("impl S100 { pub fn deep(&self) -> u32 { S7(None).deeper() } } impl S7 { pub fn deeper(&self) -> u32 { self.deep() } }\n");
    // What the core has of other sorts, so that some is on both sides.
    text.push_str(
        "impl Drop for S101 { fn drop(&mut self) { include_str!(\"core.txt\"); env!(\"CORE\"); cfg!(core); alien::go(); next::inner::there(); } }\n\
         impl S101 { pub fn only101s(&self, x: &dyn Step) -> u32 { x.step() } } impl Drop for S102 { fn drop(&mut self) { S101(None).only101s(self); } }\n",
    );
    for n in 0..40 {
        let (step, far) = (
            ["odd", "even", "rare"][n % 3],
            match n % 6 {
                0 => "include_str!(\"far.txt\").len() as u32".to_owned(),
                1 => "near::inner::there()".to_owned(),
                2 => "other::thing()".to_owned(),
                3 => format!("env!(\"Q{n}\").len() as u32"),
                4 => format!("cfg!(q{n}) as u32"),
                _ => "next::inner::there()".to_owned(),
            },
        );
        let object = ["Odd", "Even", "Step"][n % 3];
        let _ = writeln!(
            text,
            "struct W{n}; impl Odd for W{n} {{ fn odd(&self) -> u32 {{ S{n}(None).only{n}() }} }}\n\
             fn o{n}(x: &dyn {object}) -> u32 {{ x.{step}() }} fn q{n}() -> u32 {{ {far} }} fn r{n}() -> u32 {{ help{n}() }}\n\
             fn p{n}() -> u32 {{ q{n}() + r{n}() }} fn s{n}() -> u32 {{ o{n}(&W{n}) + r{n}() }} fn t{n}() -> u32 {{ r{n}() + q{n}() + o{n}(&W{n}) }}"
        );
    }
    for n in 0..40 {
        let _ = writeln!(
            text,
            "struct T{n}; impl T{n} {{ fn shared(&self) -> u32 {{ {n} }} fn alone(&self) -> u32 {{ 7 }} }}\n\
             impl Step for T{n} {{ fn step(&self) -> u32 {{ 1 }} fn rare(&self) -> u32 {{ S{n}(None).only{n}() }} }}\n\
             fn f{n}(s: &S{n}) -> u32 {{ T{n}.alone() + s.only{n}() }} fn g{n}() -> u32 {{ help{n}() + T{n}.rare() }} fn h{n}() -> u32 {{ gone({n}) }}\n\
             struct U{n}; impl U{n} {{ fn deeper(&self) -> u32 {{ {n} }} fn alone(&self) -> u32 {{ 8 }} }}\n\
             fn k{n}() -> u32 {{ option_env!(\"K{n}\"); cfg!(k{n}); core::cmp::max(help{n}(), U{n}.alone()) }} fn l{n}() -> u32 {{ U{n}.alone() + help{n}() }}"
        );
    }
    // Cached ones, which stand for themselves where the others call them.
    for n in 0..12 {
        let next = (n + 1) % 12;
        let _ = writeln!(
            text,
            "struct V{n}; impl V{n} {{ fn quiet(&self) -> u32 {{ {n} }} }} impl Drop for V{n} {{ fn drop(&mut self) {{ c{n}(); }} }}\n\
             #[fleche] fn c{n}() -> u32 {{ let v = V{n}; c{next}() + q{n}() + help{n}() + v.quiet() + gone({n}) }}"
        );
    }
    text.push_str("impl Drop for S5 { fn drop(&mut self) { c1(); c2(); } }");
    text
}

#[test]
fn a_closure_does_not_depend_on_those_before_it() {
    let dir = tempfile::tempdir().expect("a directory");
    common::write(dir.path(), &common::files(&knotted()));
    let load = || {
        let invocation = Invocation::parse(["src/lib.rs".to_owned()], dir.path());
        Analysis::new(World::load(dir.path(), None, &invocation).expect("loaded"))
    };
    let mut shared = load();
    let functions: Vec<usize> = (0..shared.world.nodes.len())
        .filter(|node| shared.world.nodes[*node].kind == ItemKind::Function)
        .collect();
    let (mut joined, mut large, mut small, mut leads) = (0, 0, 0, 0);
    let mut apart = load();
    // Through the first all come to the core; then ten of each sort beyond it, `demo::a0` to `demo::z9`, and some of it.
    let labels = functions.iter().map(|function| (*function, shared.world.label(*function)));
    let (first, beyond): (Vec<_>, Vec<_>) = labels
        .filter(|(_, label)| label == "demo::<impl S0>::only0" || label.len() == "demo::a0".len())
        .partition(|(_, label)| label.contains('<'));
    let chosen = first.into_iter().chain(beyond).map(|(function, _)| function);
    let chosen: Vec<usize> = chosen.chain(functions.iter().step_by(61).copied()).collect();
    for (at, function) in chosen.into_iter().enumerate() {
        // A walk that goes on from no other has nothing of those before it but where names lead.
        if at % 16 == 0 {
            apart = load();
        }
        let (after_others, alone) = (shared.closure(function), apart.walked(function));
        let same = after_others.nodes() == alone.nodes();
        assert!(same, "{}: {} or {}", shared.world.label(function), after_others.count(), alone.count());
        assert_eq!(after_others.modules, alone.modules);
        assert_eq!(after_others.crates, alone.crates);
        let (one, other) = (&after_others.outside, &alone.outside);
        assert_eq!(
            (&one.crates, &one.assets, &one.environment, &one.options),
            (&other.crates, &other.assets, &other.environment, &other.options)
        );
        assert_eq!(shared.leads(&after_others), apart.leads(&alone));
        leads += usize::from(!apart.leads(&alone).is_empty());
        joined += usize::from(after_others.core.is_some());
        large += usize::from(alone.count() > 600);
        small += usize::from(alone.count() < 20);
    }
    assert!(
        joined > 50 && large > 5 && small > 2 && leads > 5,
        "{joined} with the core, {large} large, {small} small, {leads} with names that lead elsewhere"
    );
}

#[test]
fn a_digest_does_not_depend_on_those_before_it() {
    let dir = tempfile::tempdir().expect("a directory");
    common::write(dir.path(), &common::files(&knotted()));
    let load = || {
        let invocation = Invocation::parse(["src/lib.rs".to_owned()], dir.path());
        Session::new(Some(dir.path()), None, invocation)
    };
    let mut shared = load();
    let cached = shared.functions();
    assert_eq!(cached.len(), 12);
    let reached = |session: &mut Session, cached: &Cached| {
        let Cached { file, line, name, .. } = cached;
        session.reachable(Function { file: Some(file), line: *line, name, tokens: "", generic: false })
    };
    let mut digests = HashSet::new();
    for cached in cached.iter().chain(&cached) {
        let (after_others, alone) = (reached(&mut shared, cached), reached(&mut load(), cached));
        assert_eq!(after_others.report.level, "reachable");
        assert_eq!(after_others.digest, alone.digest, "{}", cached.name);
        assert_eq!(after_others.report.count, alone.report.count, "{}", cached.name);
        assert_eq!(after_others.report.others, alone.report.others, "{}", cached.name);
        assert_eq!(after_others.report.share, alone.report.share, "{}", cached.name);
        let all = reached(&mut shared, cached).all();
        let items = &all.items;
        // Each is listed with the item that it was reached from, as where all are.
        let full = shared.covered(cached);
        let from = |items: &[Covered]| -> BTreeMap<(String, u32), Option<(String, u32)>> {
            let place = |item: &Covered| (item.name.clone(), item.line);
            items.iter().map(|item| (place(item), item.from.map(|from| place(&items[from])))).collect()
        };
        let truth = from(&full.items);
        let mut unknown = 0;
        let listed = from(items);
        for (item, from) in &listed {
            if from.is_some() {
                assert_eq!(from, &truth[item], "{}: {item:?}", cached.name);
                continue;
            }
            unknown += 1;
            let hidden = truth[item].as_ref().is_none_or(|from| !listed.contains_key(from));
            assert!(hidden, "{}: {item:?}", cached.name);
        }
        assert!(unknown * 2 < items.len(), "{}: {unknown}", cached.name);
        let places: HashSet<(&str, u32)> = items.iter().map(|item| (item.name.as_str(), item.line)).collect();
        assert_eq!(places.len(), items.len(), "{}: one is listed twice", cached.name);
        digests.insert(after_others.digest.0);
    }
    assert_eq!(digests.len(), 12);
}

/// Functions that the compiler may call by one name are told apart by their order, others are not.
#[test]
fn functions_of_equal_tokens() {
    let dir = tempfile::tempdir().expect("a directory");
    let text = "//- src/lib.rs\nfn f() { fn f() {} }\nfn g() { { fn f() {} } { fn f() {} } { fn f() {} } }\nconst _: () = { fn f() {} };\n\
                const _: () = { fn f() {} };\nmod g { fn f() {} }\nmod h { include!(\"more.in\"); fn f() {} }\nmod i { include!(\"twice.in\"); }\n\
                mod j { include!(\"twice.in\"); }\nstruct S<T>(T); impl S<u8> { fn g() { fn f() {} } } \nimpl S<u16> { fn g() { fn f() {} } }\n\
                //- src/more.in\n\n\n\n\n\nfn f() {}\n//- src/twice.in\nfn f() {}\n";
    common::write(dir.path(), &common::files(text));
    let (lib, more, twice) =
        (dir.path().join("src/lib.rs"), dir.path().join("src/more.in"), dir.path().join("src/twice.in"));
    let twins = |places: &[(&std::path::Path, u32)]| -> Vec<u32> {
        let invocation = Invocation::parse(["src/lib.rs".to_owned()], dir.path());
        let mut session = Session::new(Some(dir.path()), None, invocation);
        let function = |(file, line)| Function {
            file: Some(file),
            line,
            name: "f",
            tokens: "fn f() {}",
            generic: false,
        };
        places.iter().map(|place| session.twins(function(*place))).collect()
    };
    let of = |lines: &[u32]| twins(&lines.iter().map(|line| (lib.as_path(), *line)).collect::<Vec<_>>());
    assert_eq!(of(&[2, 2, 2]), [0, 1, 2], "of one function");
    assert_eq!(of(&[3, 4]), [0, 1], "of constants without a name");
    assert_eq!(of(&[2, 5]), [0, 1], "of a function and a module that is called like it");
    assert_eq!(of(&[5, 2]), [0, 1], "in the other order");
    assert_eq!(of(&[1, 2, 5, 6]), [0, 0, 1, 0], "of other items");
    assert_eq!(of(&[9, 10]), [0, 0], "of other impls");
    assert_eq!(twins(&[(&lib, 6), (&more, 6)]), [0, 1], "of two files of a module");
    // Of a file in two modules, or in a macro, nobody knows.
    assert_eq!(twins(&[(&twice, 1), (&lib, 5), (&twice, 1)]), [0, 1, 2]);
    assert_eq!(of(&[7, 2]), [0, 1]);
}

/// Each number of equal ones before gives a digest of its own.
#[test]
fn twins_have_digests_of_their_own() {
    let one = CodeDigest::of_body("fn f() {}");
    let digests: HashSet<_> = (0..4).map(|before| one.of_twin(before)).collect();
    assert_eq!((digests.len(), one.of_twin(0)), (4, one));
}

/// Functions of which no other code counts cost no analysis: nothing is read for them but their own files.
#[test]
fn nothing_is_read_where_no_other_code_counts() {
    let dir = tempfile::tempdir().expect("a directory");
    let text = "//- src/lib.rs\nmod other;\nfn g() { fn f() {} }\nfn h() { fn f() {} }\nfn i() { { fn f() {} } { fn f() {} } }\nstruct S; impl S { fn f() {} }\n\
                //- src/other.rs\nfn o() {}\n";
    common::write(dir.path(), &common::files(text));
    let file = dir.path().join("src/lib.rs");
    let at = |line: u32| Function { file: Some(&file), line, name: "f", tokens: "fn f() {}", generic: false };
    let invocation = Invocation::parse(["src/lib.rs".to_owned()], dir.path());
    let mut session = Session::new(Some(dir.path()), None, invocation);
    assert!(!session.is_member(at(2)));
    assert!(session.is_member(at(5)), "a method");
    assert_eq!(session.twins(at(2)), 0);
    let digest = session.body(at(2)).digest;
    assert_eq!(session.fresh_files(), std::slice::from_ref(&file), "no other file was read");
    // Equal ones are told apart by the item that they are in, which takes a look at all.
    assert_eq!([3, 4, 4].map(|line| session.twins(at(line))), [0, 0, 1]);
    assert_eq!(session.body(at(3)).digest, digest);
    assert!(session.fresh_files().contains(&dir.path().join("src/other.rs")));
}
