//! Calls over random file operations and random faults: what is answered without a fault is what a run from scratch
//! gives, at every step, and what met a fault is never kept.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use fleche_store::{CodeDigest, Digest, Store};
use proptest::prelude::*;

use crate::cache::Cache;
use crate::dynamic::Function;
use crate::system::double::Double;
use crate::system::{Op, System};

/// What a body looks at.
#[derive(Debug, Clone)]
enum Look {
    Read(usize),
    Streamed(usize),
    Exists(usize),
    Length(usize),
    Names,
    Glob,
    Contents,
}

#[derive(Debug, Clone)]
enum Step {
    Write(usize, u8),
    Replace(usize, u8),
    /// Other bytes of the same length, with the old time.
    Disguised(usize, u8),
    Rename(usize, usize),
    Remove(usize),
    Directory(usize),
    Wait(u16),
    /// A look during which every so many questions fail, interrupt, or change a file.
    Faulty(Fault, u64),
    Restart,
    Overlay(usize, Option<u8>),
    Reset,
}

#[derive(Debug, Clone, Copy)]
enum Fault {
    Denied,
    Broken,
    Interrupted,
    Vanishing(usize),
    Changing(usize, u8),
}

const NAMES: [&str; 5] = ["a", "b", "d/c", "d/a", "d/e/a"];

fn text(byte: u8) -> String {
    format!("text {byte}")
}

fn look(dir: &Path, looks: &[Look]) -> Vec<String> {
    let shown = |result: io::Result<String>| result.unwrap_or_else(|error| format!("{:?}", error.kind()));
    let names = |entries: io::Result<Vec<PathBuf>>| {
        shown(entries.map(|paths| {
            format!("{:?}", paths.iter().map(|path| path.strip_prefix(dir).unwrap()).collect::<Vec<_>>())
        }))
    };
    let one = |look: &Look| match look {
        Look::Read(n) => shown(crate::fs::read_to_string(dir.join(NAMES[*n]))),
        Look::Streamed(n) => shown(crate::fs::open(dir.join(NAMES[*n])).and_then(io::read_to_string)),
        Look::Exists(n) => shown(crate::fs::exists(dir.join(NAMES[*n])).map(|exists| exists.to_string())),
        Look::Length(n) => {
            shown(crate::fs::metadata(dir.join(NAMES[*n])).map(|metadata| metadata.len().to_string()))
        }
        Look::Names => names(
            crate::fs::read_dir(dir).and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect()),
        ),
        Look::Glob => {
            names(crate::fs::glob(&format!("{}/**/a", dir.display())).and_then(|glob| glob.paths()))
        }
        Look::Contents => shown(crate::fs::walk(dir).contents().map(|tree| tree.digest().to_string())),
    };
    looks.iter().map(one).collect()
}

/// What the same looks come to where nothing is remembered and nothing fails.
fn from_scratch(dir: &Path, overlaid: &[(usize, Option<u8>)], looks: &[Look]) -> Vec<String> {
    let cache = Cache::with_store(Store::memory(), dir);
    for (n, byte) in overlaid {
        shadow(&cache, dir, *n, *byte);
    }
    let _scope = crate::cache(&cache).unwrap();
    look(dir, looks)
}

fn shadow(cache: &Cache, dir: &Path, n: usize, byte: Option<u8>) {
    let path = dir.join(NAMES[n]);
    match byte {
        Some(byte) => cache.overlay().set(path, text(byte)).unwrap(),
        None => cache.overlay().hide(path).unwrap(),
    }
}

struct Bench {
    dir: PathBuf,
    double: Arc<Double>,
    store: Store,
    cache: Cache,
    overlaid: Vec<(usize, Option<u8>)>,
}

impl Bench {
    fn new(dir: &Path, step: u64) -> Self {
        let double = Arc::<Double>::default();
        double.stamp_in_steps_of(Duration::from_nanos(step));
        double.read_at_most(3);
        let store = Store::memory();
        let cache = Self::open(&double, &store, dir);
        Self { dir: dir.to_path_buf(), double, store, cache, overlaid: Vec::new() }
    }

    fn open(double: &Arc<Double>, store: &Store, dir: &Path) -> Cache {
        Cache::through(System::with(double.clone()), store.clone(), dir)
    }

    fn ask(&self, looks: &[Look]) -> Vec<String> {
        let _scope = crate::cache(&self.cache).unwrap();
        let code = CodeDigest::new(Digest::of(format!("{looks:?}").as_bytes()));
        let function = Function::new("looks", "fleche", "faults", code);
        function.call(|| Ok::<_, ()>(look(&self.dir, looks))).unwrap().0
    }

    fn make_way(path: &Path) -> bool {
        path.parent().is_some_and(|above| fs::create_dir_all(above).is_ok())
    }

    fn take(&mut self, step: &Step, looks: &[Look]) {
        let path = |n: &usize| self.dir.join(NAMES[*n]);
        match step {
            Step::Write(n, byte) if Self::make_way(&path(n)) => drop(fs::write(path(n), text(*byte))),
            Step::Replace(n, byte) if Self::make_way(&path(n)) => {
                let new = self.dir.parent().unwrap().join("new");
                fs::write(&new, text(*byte)).unwrap();
                let _ = fs::rename(new, path(n));
            }
            Step::Disguised(n, byte) => {
                if let Ok(modified) = fs::metadata(path(n)).and_then(|metadata| metadata.modified())
                    && fs::write(path(n), text(*byte)).is_ok()
                {
                    fs::File::options().append(true).open(path(n)).unwrap().set_modified(modified).unwrap();
                }
            }
            Step::Rename(from, to) if Self::make_way(&path(to)) => drop(fs::rename(path(from), path(to))),
            Step::Remove(n) => {
                let _ = fs::remove_file(path(n)).or_else(|_| fs::remove_dir_all(path(n)));
            }
            Step::Directory(n) => drop(fs::create_dir_all(path(n))),
            // Real time, since stamps are the system's; the wait itself passes in no time.
            Step::Wait(ms) => std::thread::sleep(Duration::from_millis(u64::from(ms % 8))),
            Step::Faulty(fault, every) => {
                self.disturb(*fault, *every);
                self.ask(looks);
                self.double.undisturbed();
            }
            Step::Restart => {
                self.cache = Self::open(&self.double, &self.store, &self.dir);
                for (n, byte) in &self.overlaid {
                    shadow(&self.cache, &self.dir, *n, *byte);
                }
            }
            Step::Overlay(n, byte) => {
                shadow(&self.cache, &self.dir, *n, *byte);
                self.overlaid.push((*n, *byte));
            }
            Step::Reset => {
                self.cache.overlay().clear();
                self.overlaid.clear();
            }
            Step::Write(..) | Step::Replace(..) | Step::Rename(..) => {}
        }
    }

    fn disturb(&self, fault: Fault, every: u64) {
        let asked = AtomicU64::new(0);
        let dir = self.dir.clone();
        self.double.before(move |op, _| {
            if asked.fetch_add(1, Ordering::Relaxed) % every != every - 1 {
                return Ok(());
            }
            match fault {
                Fault::Denied => Err(io::ErrorKind::PermissionDenied.into()),
                Fault::Broken => Err(io::Error::from_raw_os_error(5)),
                Fault::Interrupted if op == Op::Read => Err(io::ErrorKind::Interrupted.into()),
                Fault::Interrupted => Ok(()),
                Fault::Vanishing(n) => {
                    let _ = fs::remove_file(dir.join(NAMES[n]));
                    Ok(())
                }
                Fault::Changing(n, byte) => {
                    if dir.join(NAMES[n]).is_file() {
                        let _ = fs::write(dir.join(NAMES[n]), text(byte));
                    }
                    Ok(())
                }
            }
        });
    }
}

fn looks() -> impl Strategy<Value = Vec<Look>> {
    let n = || 0..NAMES.len();
    let look = prop_oneof![
        3 => n().prop_map(Look::Read),
        1 => n().prop_map(Look::Streamed),
        1 => n().prop_map(Look::Exists),
        1 => n().prop_map(Look::Length),
        1 => Just(Look::Names),
        1 => Just(Look::Glob),
        2 => Just(Look::Contents),
    ];
    prop::collection::vec(look, 1..5)
}

fn step() -> impl Strategy<Value = Step> {
    let n = || 0..NAMES.len();
    let byte = || 0..3_u8;
    let fault = prop_oneof![
        Just(Fault::Denied),
        Just(Fault::Broken),
        Just(Fault::Interrupted),
        n().prop_map(Fault::Vanishing),
        (n(), byte()).prop_map(|(n, byte)| Fault::Changing(n, byte)),
    ];
    prop_oneof![
        4 => (n(), byte()).prop_map(|(n, byte)| Step::Write(n, byte)),
        2 => (n(), byte()).prop_map(|(n, byte)| Step::Replace(n, byte)),
        2 => (n(), byte()).prop_map(|(n, byte)| Step::Disguised(n, byte)),
        1 => (n(), n()).prop_map(|(from, to)| Step::Rename(from, to)),
        2 => n().prop_map(Step::Remove),
        1 => n().prop_map(Step::Directory),
        1 => any::<u16>().prop_map(Step::Wait),
        4 => (fault, 2..12_u64).prop_map(|(fault, every)| Step::Faulty(fault, every)),
        1 => Just(Step::Restart),
        1 => (n(), prop::option::of(byte())).prop_map(|(n, byte)| Step::Overlay(n, byte)),
        1 => Just(Step::Reset),
    ]
}

fn cases() -> u32 {
    std::env::var("FLECHE_FAULT_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(40)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() })]

    /// `FLECHE_FAULT_CASES` sets the number of cases.
    #[test]
    fn incremental_equals_from_scratch_whatever_fails(
        looks in looks(),
        steps in prop::collection::vec(step(), 1..30),
        // Nothing, a tick, and a file system with seconds.
        coarse in prop::sample::select(vec![0_u64, 4_000_000, 2_000_000_000]),
    ) {
        let temporary = tempfile::tempdir().unwrap();
        let dir = temporary.path().canonicalize().unwrap().join("project");
        fs::create_dir(&dir).unwrap();
        let mut bench = Bench::new(&dir, coarse);
        for step in &steps {
            bench.take(step, &looks);
            let expected = from_scratch(&dir, &bench.overlaid, &looks);
            prop_assert_eq!(bench.ask(&looks), expected, "after {:?}", step);
        }
    }
}
