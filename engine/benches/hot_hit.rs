//! What does a call cost whose answer is known in this process? Against memoisers that keep nothing on disk.

#![allow(missing_docs, reason = "a program, and macros of the peers")]

mod table;

use std::hint::black_box;
use std::time::Duration;

use fleche::fleche;
use salsa::Setter as _;

#[fleche]
fn small(n: u64, name: &str) -> u64 {
    n + name.len() as u64
}

#[fleche]
fn large(bytes: &[u8]) -> u64 {
    bytes.iter().map(|byte| u64::from(*byte)).sum()
}

#[cached::macros::cached]
#[allow(clippy::needless_pass_by_value, reason = "what the attribute makes takes it so")]
fn cached_small(n: u64, name: String) -> u64 {
    n + name.len() as u64
}

#[comemo::memoize]
fn comemo_small(n: u64, name: &str) -> u64 {
    n + name.len() as u64
}

#[comemo::memoize]
fn comemo_large(bytes: &[u8]) -> u64 {
    bytes.iter().map(|byte| u64::from(*byte)).sum()
}

#[salsa::input]
struct Name {
    #[returns(ref)]
    text: String,
    n: u64,
}

#[salsa::tracked]
fn salsa_small(db: &dyn salsa::Database, name: Name) -> u64 {
    name.n(db) + name.text(db).len() as u64
}

/// Rounds short enough to be done within one slice of a busy machine's time.
fn each(f: impl FnMut()) -> Duration {
    table::median(301, 1_000, f)
}

/// The same on two threads at once: the slower one's median.
fn on_two_threads(cache: &fleche::Cache) -> Duration {
    let one = || {
        let _scope = fleche::cache(cache).expect("a cache");
        each(|| _ = black_box(small(black_box(7), black_box("name"))))
    };
    std::thread::scope(|scope| {
        let other = scope.spawn(one);
        one().max(other.join().expect("it measures"))
    })
}

fn main() {
    let cache = fleche::Cache::memory();
    let _scope = fleche::cache(&cache).expect("a cache in memory");
    let moka = moka::sync::Cache::<(u64, String), u64>::new(10_000);
    moka.insert((7, "name".into()), 11);
    let mut db = salsa::DatabaseImpl::new();
    let name = Name::new(&db, "name".into(), 7);
    name.set_n(&mut db).to(8);
    salsa_small(&db, name);
    small(7, "name");
    table::group(
        "hot hit, small arguments (u64, &str)",
        &[
            ("fleche, no inputs", each(|| _ = black_box(small(black_box(7), black_box("name"))))),
            (
                "fleche, held revision",
                fleche::frozen(|| each(|| _ = black_box(small(black_box(7), black_box("name"))))),
            ),
            ("fleche, two threads at once", on_two_threads(&cache)),
            ("comemo", each(|| _ = black_box(comemo_small(black_box(7), black_box("name"))))),
            (
                "cached (key built for each call)",
                each(|| _ = black_box(cached_small(black_box(7), black_box("name").to_string()))),
            ),
            (
                "moka (key built for each look-up)",
                each(|| _ = black_box(moka.get(&(black_box(7), "name".to_string())))),
            ),
            ("salsa, input held by its handle", each(|| _ = black_box(salsa_small(&db, black_box(name))))),
        ],
    );

    let megabyte = vec![7_u8; 1 << 20];
    large(&megabyte);
    let some = |f: &mut dyn FnMut()| table::median(101, 1, f);
    table::group(
        "hot hit, 1 MiB argument (hashed each time)",
        &[
            ("fleche", some(&mut || _ = black_box(large(black_box(&megabyte))))),
            ("comemo", some(&mut || _ = black_box(comemo_large(black_box(&megabyte))))),
            ("BLAKE3 of the bytes alone", some(&mut || _ = black_box(blake3::hash(black_box(&megabyte))))),
        ],
    );
}
