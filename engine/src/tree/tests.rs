//! Trees over real directories: what they react to, and that every quick way comes to what a scan from scratch does.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use fleche_store::Store;

use super::selection::{Rule, Walk};
use super::*;
use crate::cache::Cache;
use crate::marks;
use crate::system::double::Double;
use crate::system::{Op, System};

fn selection(base: &Path, contents: bool, rule: Rule) -> Arc<Selection> {
    Arc::new(Selection { base: base.to_path_buf(), contents, rule })
}

fn all(base: &Path) -> Vec<Arc<Selection>> {
    let walk = |ignored, hidden, follow| Rule::Walk(Walk { depth: None, hidden, ignored, follow });
    vec![
        selection(base, true, Rule::Everything),
        selection(base, false, walk(false, false, false)),
        selection(base, true, walk(true, true, false)),
        selection(base, true, walk(false, false, true)),
        selection(base, false, Rule::Glob("**/*a*".into())),
        selection(base, true, Rule::Glob("{a,b/*}/*".into())),
        Arc::new(Selection::listing(base.to_path_buf())),
    ]
}

fn fresh(selection: &Arc<Selection>) -> Digest {
    Files::new("/".into(), None).tree_digest(selection).unwrap()
}

fn paths(files: &Files, selection: &Arc<Selection>) -> Vec<String> {
    let mut paths = Vec::new();
    files.snapshot(selection).unwrap().for_each(Path::new(""), &mut |path, _, _| {
        paths.push(path.display().to_string());
    });
    paths
}

#[test]
fn a_tree_reacts_to_names_kinds_and_contents() {
    let dir = tempfile::tempdir().unwrap();
    let files = Files::new(dir.path().to_path_buf(), None);
    let tree = dir.path().join("t");
    let everything = Arc::new(Selection::everything(tree.clone()));
    let names = selection(&tree, false, Rule::Walk(Walk::default()));
    let look = || (files.tree_digest(&everything).unwrap(), files.tree_digest(&names).unwrap());
    assert_eq!(look(), (input::absent(), input::absent()));
    fs::create_dir_all(tree.join("sub")).unwrap();
    let empty = look();
    fs::write(tree.join("sub/x"), "1").unwrap();
    let one = look();
    assert!(empty.0 != one.0 && empty.1 != one.1);
    fs::write(tree.join("sub/x"), "2").unwrap();
    let two = look();
    assert!(two.0 != one.0 && two.1 == one.1, "only contents differ");
    fs::write(tree.join("sub/x"), "1").unwrap();
    assert_eq!(look(), one);
    fs::rename(tree.join("sub/x"), tree.join("sub/y")).unwrap();
    assert!(look().0 != one.0 && look().1 != one.1);
    #[cfg(unix)]
    {
        use std::os::unix::fs::{PermissionsExt, symlink};
        fs::rename(tree.join("sub/y"), tree.join("sub/x")).unwrap();
        fs::set_permissions(tree.join("sub/x"), fs::Permissions::from_mode(0o755)).unwrap();
        assert!(look().0 != one.0 && look().1 == one.1, "executable");
        symlink("x", tree.join("sub/l")).unwrap();
        let linked = look();
        fs::remove_file(tree.join("sub/l")).unwrap();
        symlink("sub", tree.join("sub/l")).unwrap();
        assert!(look().0 != linked.0 && look().1 != linked.1, "retargeted");
    }
    fs::remove_dir_all(&tree).unwrap();
    fs::write(&tree, "file").unwrap();
    assert_eq!(look(), (Digest::of(b"file"), input::no_directory()));
}

/// Counts the files that are opened.
fn opened(double: &Double, look: impl FnOnce()) -> usize {
    let opened = Arc::<AtomicUsize>::default();
    let count = opened.clone();
    double.before(move |op, _| {
        if op == Op::Open {
            count.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    });
    look();
    double.undisturbed();
    opened.load(Ordering::Relaxed)
}

#[test]
fn only_files_whose_stamps_moved_are_read_again_by_this_process_and_the_next() {
    let dir = tempfile::tempdir().unwrap();
    let tree = dir.path().join("t");
    for n in 0..100 {
        fs::create_dir_all(tree.join(format!("d{}", n % 7))).unwrap();
        fs::write(tree.join(format!("d{}/f{n}", n % 7)), format!("{n}")).unwrap();
    }
    let double = Arc::<Double>::default();
    double.wait(Duration::from_secs(5));
    let store = Store::open(&dir.path().join("store"), fleche_store::Options::default()).unwrap();
    let open = || Files::over(System::with(double.clone()), dir.path().to_path_buf(), Some(store.clone()));
    let tree_input = Arc::new(Selection::everything(tree.clone()));
    let files = open();
    let look = |files: &Files| assert_eq!(files.tree_digest(&tree_input).unwrap(), fresh(&tree_input));
    assert_eq!(opened(&double, || look(&files)), 100);
    assert_eq!(opened(&double, || look(&files)), 0);
    fs::write(tree.join("d3/f3"), "other").unwrap();
    assert_eq!(opened(&double, || look(&files)), 1);
    assert_eq!(opened(&double, || look(&open())), 1, "the one that was not worth saving");
    // Young files are read each time.
    let young = Arc::<Double>::default();
    let files = Files::over(System::with(young.clone()), dir.path().to_path_buf(), None);
    fs::write(tree.join("d3/f3"), "again").unwrap();
    look(&files);
    assert!(opened(&young, || look(&files)) > 0);
}

#[test]
fn what_cannot_be_looked_at_fails_the_whole_tree() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("a/b")).unwrap();
    fs::write(dir.path().join("a/b/c"), "1").unwrap();
    let double = Arc::<Double>::default();
    let files = Files::over(System::with(double.clone()), dir.path().to_path_buf(), None);
    let tree = Arc::new(Selection::everything(dir.path().join("a")));
    for op in [Op::Status, Op::List, Op::Open, Op::Read] {
        double.before(move |asked, path| {
            let inner = path.ends_with("b") || path.ends_with("c");
            if asked == op && inner { Err(io::ErrorKind::PermissionDenied.into()) } else { Ok(()) }
        });
        assert!(files.tree_digest(&tree).is_err(), "{op:?}");
    }
    double.undisturbed();
    assert_eq!(files.tree_digest(&tree).unwrap(), fresh(&tree));
}

#[test]
fn the_store_is_no_part_of_the_tree_around_it() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&dir.path().join(".fleche"), fleche_store::Options::default()).unwrap();
    let files = Files::new(dir.path().to_path_buf(), Some(store));
    fs::write(dir.path().join("a"), "").unwrap();
    assert_eq!(paths(&files, &Arc::new(Selection::everything(dir.path().into()))), ["a"]);
}

#[cfg(unix)]
#[test]
fn special_files_are_entries_and_links_in_a_circle_end() {
    use std::os::unix::fs::symlink;
    let dir = tempfile::tempdir().unwrap();
    let files = Files::new(dir.path().to_path_buf(), None);
    fs::create_dir(dir.path().join("a")).unwrap();
    symlink("..", dir.path().join("a/up")).unwrap();
    symlink("nowhere", dir.path().join("dangling")).unwrap();
    symlink("self", dir.path().join("self")).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(dir.path().join("socket")).unwrap();
    for tree in all(dir.path()) {
        // A link in a circle cannot be followed to any content: what reads it fails, and so does the tree.
        let result = files.tree_digest(&tree);
        assert_eq!(result.is_err(), tree.contents && matches!(tree.rule, Rule::Walk(_)), "{tree:?}");
    }
    fs::remove_file(dir.path().join("self")).unwrap();
    let follow = selection(dir.path(), true, Rule::Walk(Walk { follow: true, ..Walk::default() }));
    assert_eq!(paths(&files, &follow), ["a", "a/up", "dangling", "socket"]);
}

#[test]
fn where_case_does_not_count_a_buffer_is_found_by_any_spelling() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().canonicalize().unwrap();
    fs::write(root.join("Name"), "disk").unwrap();
    let double = Arc::<Double>::default();
    double.fold_case();
    let cache = Cache::through(System::with(double), Store::memory(), &root);
    let (files, overlay) = (cache.files(), cache.overlay());
    let listing = Arc::new(Selection::listing(root.clone()));
    overlay.set(root.join("NAME"), "buffer").unwrap();
    for name in ["Name", "NAME", "name"] {
        assert_eq!(files.read(&root.join(name)).unwrap().0, b"buffer", "{name}");
    }
    assert_eq!(paths(files, &listing), ["Name"], "the disk's spelling");
    overlay.hide(root.join("nAmE")).unwrap();
    assert!(files.read(&root.join("Name")).is_err() && paths(files, &listing).is_empty());
    overlay.reset(root.join("name")).unwrap();
    assert_eq!(files.read(&root.join("Name")).unwrap().0, b"disk");
}

#[test]
fn ignore_files_mean_what_they_mean_to_the_ignore_crate() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    fs::create_dir_all(root.join(".git")).unwrap();
    for file in [
        "a.o",
        "a.c",
        "keep.o",
        "build/x.c",
        "src/build/y.c",
        "src/a.o",
        "src/deep/b.o",
        "src/deep/c.tmp",
        "docs/b.o",
        "docs/ignored/z",
        "lit/*.c",
    ] {
        fs::create_dir_all(root.join(file).parent().unwrap()).unwrap();
        fs::write(root.join(file), "").unwrap();
    }
    fs::write(root.join(".gitignore"), "*.o\n!keep.o\n/build/\n# comment\n\n\\#x\nsrc/**/*.tmp\n").unwrap();
    fs::write(root.join("docs/.gitignore"), "!*.o\nignored\n").unwrap();
    fs::write(root.join("src/.ignore"), "build/\n").unwrap();
    fs::write(root.join("src/deep/.ignore"), "!b.o\n").unwrap();
    for base in [root.to_path_buf(), root.join("src"), root.join("docs")] {
        let rule = Rule::Walk(Walk { ignored: true, hidden: true, ..Walk::default() });
        let ours = paths(&Files::new(root.into(), None), &selection(&base, false, rule));
        let mut theirs: Vec<String> = ignore::WalkBuilder::new(&base)
            .git_global(false)
            .build()
            .map(|entry| entry.unwrap().path().strip_prefix(&base).unwrap().display().to_string())
            .filter(|path| !path.is_empty())
            .collect();
        theirs.sort();
        let mut sorted = ours.clone();
        sorted.sort();
        assert_eq!(sorted, theirs, "{}", base.display());
    }
}

/// Numbers that look random, the same in each run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }

    fn path(&mut self) -> PathBuf {
        const NAMES: [&str; 6] = ["a", "b", "ca", ".h", ".gitignore", "d"];
        let depth = 1 + self.roll(3);
        (0..depth).map(|_| NAMES[usize::try_from(self.roll(6)).unwrap()]).collect()
    }
}

fn remove(path: &Path) {
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path).unwrap(),
        Ok(_) => fs::remove_file(path).unwrap(),
        Err(_) => {}
    }
}

/// Makes the way to a path, removing files that lie on it; tells of every change.
fn make_way(root: &Path, path: &Path, changed: &mut dyn FnMut(&Path)) {
    let mut at = root.to_path_buf();
    for name in path.parent().unwrap().components() {
        at.push(name);
        if !fs::symlink_metadata(&at).is_ok_and(|metadata| metadata.is_dir()) {
            remove(&at);
            fs::create_dir(&at).unwrap();
            changed(&at);
        }
    }
}

/// One random change of the tree, told as a watcher would.
fn change(dice: &mut Dice, root: &Path, changed: &mut dyn FnMut(&Path)) {
    let path = dice.path();
    let place = root.join(&path);
    match dice.roll(8) {
        0 => {
            remove(&place);
            changed(&place);
        }
        1 => {
            let other = root.join(dice.path());
            // A way through a link would be another one.
            let direct = other.parent().is_some_and(|way| way.canonicalize().is_ok_and(|real| real == way));
            if direct && !place.starts_with(&other) && !other.starts_with(&place) {
                make_way(root, &path, changed);
                if fs::symlink_metadata(&other).is_ok() {
                    remove(&place);
                    fs::rename(&other, &place).unwrap();
                    changed(&other);
                    changed(&place);
                }
            }
        }
        #[cfg(unix)]
        2 => {
            make_way(root, &path, changed);
            remove(&place);
            std::os::unix::fs::symlink(
                ["a", "..", "b/ca", "nowhere"][usize::try_from(dice.roll(4)).unwrap()],
                &place,
            )
            .unwrap();
            changed(&place);
        }
        _ => {
            make_way(root, &path, changed);
            if fs::symlink_metadata(&place).is_ok_and(|metadata| !metadata.is_file()) {
                remove(&place);
            }
            let text = ["a\n", "*a\n", "b/\n", "!a\nca"][usize::try_from(dice.roll(4)).unwrap()];
            fs::write(&place, text).unwrap();
            changed(&place);
        }
    }
}

fn rounds() -> u64 {
    std::env::var("FLECHE_TREE_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(6)
}

/// A watcher of a directory for which the test itself marks what changes.
#[derive(Debug)]
struct Trusting(Arc<Root>);

#[derive(Debug)]
struct Root(PathBuf);

impl marks::Source for Root {
    fn covers(&self, path: &Path, _: bool) -> bool {
        path.starts_with(&self.0)
    }

    fn drain(&self) {}
}

impl Trusting {
    fn new(root: &Path) -> Self {
        let source = Arc::new(Root(root.to_path_buf()));
        marks::add(source.clone(), false);
        Self(source)
    }
}

impl Drop for Trusting {
    fn drop(&mut self) {
        let source: Arc<dyn marks::Source> = self.0.clone();
        marks::remove(&source, false);
    }
}

/// `FLECHE_TREE_ROUNDS` sets the number of rounds.
#[test]
fn what_a_watcher_marks_is_enough() {
    for round in 1..=rounds() {
        let mut dice = Dice(0x9e37_79b9_7f4a_7c15 ^ (round << 32));
        let temporary = tempfile::tempdir().unwrap();
        let root = temporary.path().canonicalize().unwrap().join("t");
        fs::create_dir(&root).unwrap();
        let files = Files::new(root.clone(), None);
        let watcher = Trusting::new(&root);
        let trees = all(&root);
        for step in 0..60 {
            for _ in 0..=dice.roll(3) {
                change(&mut dice, &root, &mut |path| files.trees().mark(path));
            }
            for tree in &trees {
                assert_ne!(marks::watch_over(&root), 0, "{watcher:?}");
                // A circle of links cannot be read.
                match (files.tree_digest(tree), Files::new("/".into(), None).tree_digest(tree)) {
                    (Ok(ours), Ok(fresh)) => assert_eq!(ours, fresh, "round {round}, step {step}, {tree:?}"),
                    (Err(_), Err(_)) => {}
                    (ours, fresh) => panic!("{ours:?}, from scratch {fresh:?}: {tree:?}"),
                }
            }
        }
    }
}

#[test]
fn a_marked_tree_looks_at_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("t");
    for n in 0..50 {
        fs::create_dir_all(root.join(format!("d{n}"))).unwrap();
        fs::write(root.join(format!("d{n}/f")), "").unwrap();
    }
    let double = Arc::<Double>::default();
    let files = Files::over(System::with(double.clone()), dir.path().to_path_buf(), None);
    let tree = Arc::new(Selection::everything(root.clone()));
    let listed = || {
        let listed = Arc::<AtomicUsize>::default();
        let count = listed.clone();
        double.before(move |op, _| {
            if op == Op::List {
                count.fetch_add(1, Ordering::Relaxed);
            }
            Ok(())
        });
        assert_eq!(files.tree_digest(&tree).unwrap(), fresh(&tree));
        double.undisturbed();
        listed.load(Ordering::Relaxed)
    };
    assert_eq!(listed(), 51);
    assert_eq!(listed(), 51, "no watcher");
    let part = Trusting::new(&root.join("d7"));
    assert_eq!((listed(), listed()), (51, 51), "a part is not enough");
    drop(part);
    let whole = Trusting::new(&root.canonicalize().unwrap());
    assert_eq!(listed(), 51, "what was missed before it came");
    assert_eq!(listed(), 0);
    fs::write(root.join("d7/f"), "1").unwrap();
    files.trees().mark(&root.join("d7/f"));
    assert_eq!(listed(), 1);
    drop(whole);
    assert_eq!(listed(), 51);
}

#[test]
fn an_overlay_is_as_if_it_were_on_disk() {
    for round in 1..=rounds() {
        let mut dice = Dice(0x2545_f491_4f6c_dd1d ^ (round << 24));
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().canonicalize().unwrap();
        // The same operations are done to `over` through the overlay and to `real` on disk.
        let (over, real) = (dir.join("over"), dir.join("real"));
        for root in [&over, &real] {
            let mut dice = Dice(round);
            fs::create_dir(root).unwrap();
            for _ in 0..12 {
                let path = dice.path();
                make_way(root, &path, &mut |_| {});
                if !root.join(&path).exists() {
                    fs::write(root.join(&path), "disk").unwrap();
                }
            }
        }
        let cache = Cache::with_store(Store::memory(), &dir);
        let overlay = cache.overlay();
        for step in 0..40 {
            let path = dice.path();
            match dice.roll(4) {
                0 => {
                    overlay.hide(over.join(&path)).unwrap();
                    remove(&real.join(&path));
                }
                1 if real.join(&path).is_file() => {
                    overlay.edit(over.join(&path), |bytes| bytes.push(b'!')).unwrap();
                    let edited = fs::read_to_string(real.join(&path)).unwrap() + "!";
                    fs::write(real.join(&path), edited).unwrap();
                }
                _ => {
                    overlay.set(over.join(&path), "text").unwrap();
                    make_way(&real, &path, &mut |_| {});
                    remove(&real.join(&path));
                    fs::write(real.join(&path), "text").unwrap();
                }
            }
            for (over, real) in all(&over).iter().zip(all(&real)) {
                let found = paths(cache.files(), over);
                // Directories that only an overlay had are gone with what was in them; on disk they stay.
                let expected = paths(&Files::new("/".into(), None), &real);
                let files = |paths: &[String], root: &Path| -> Vec<String> {
                    paths.iter().filter(|path| !root.join(path).is_dir()).cloned().collect()
                };
                assert_eq!(
                    files(&found, &real.base),
                    files(&expected, &real.base),
                    "round {round}, step {step}, {over:?}"
                );
            }
            for _ in 0..8 {
                let path = dice.path();
                let (ours, real) = (over.join(&path), real.join(&path));
                if real.is_file()
                    || cache.files().find(&ours, true).is_ok_and(|found| found.kind() == Kind::File)
                {
                    assert_eq!(cache.files().read(&ours).unwrap().0, fs::read(&real).unwrap());
                    let (mut opened, digest) = (Vec::new(), Digest::of(&fs::read(&real).unwrap()));
                    match cache.files().open(&ours).unwrap() {
                        (crate::files::Opened::Bytes(bytes), found) => {
                            opened.extend_from_slice(&bytes);
                            assert_eq!(found, digest);
                        }
                        (crate::files::Opened::File { .. }, found) => assert_eq!(found, digest),
                    }
                    assert_eq!(cache.files().digest(&ours).unwrap(), digest);
                } else if !real.is_dir() {
                    assert_eq!(cache.files().digest(&ours).unwrap(), input::absent(), "{}", ours.display());
                    assert!(cache.files().find(&ours, true).is_err());
                }
            }
        }
        overlay.clear();
        for tree in all(&over) {
            assert_eq!(cache.files().tree_digest(&tree).unwrap(), fresh(&tree));
        }
        assert!(overlay.paths().is_empty());
    }
}
