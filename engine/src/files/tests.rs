//! Traps of tracked reads, each seen through the double or set up on the real disk.

use std::fs;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use fleche_store::{Digest, Store};

use super::*;
use crate::system::double::Double;
use crate::system::{Op, System};

struct Bench {
    dir: tempfile::TempDir,
    double: Arc<Double>,
    files: Files,
}

impl Bench {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let double = Arc::<Double>::default();
        let files =
            Files::over(System::with(double.clone()), dir.path().to_path_buf(), Some(Store::memory()));
        Self { dir, double, files }
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.dir.path().join(name);
        fs::write(&path, text).unwrap();
        path
    }

    fn holds(&self, path: &Path, text: &str) -> bool {
        self.files.digest(path).unwrap() == Digest::of(text.as_bytes())
    }

    /// Whether a look at the path now opens it.
    fn reads(&self, path: &Path) -> bool {
        let opened = Arc::<AtomicUsize>::default();
        let count = opened.clone();
        self.double.before(move |op, _| {
            if op == Op::Open {
                count.fetch_add(1, Ordering::Relaxed);
            }
            Ok(())
        });
        self.files.digest(path).unwrap();
        self.double.undisturbed();
        opened.load(Ordering::Relaxed) > 0
    }
}

/// Does `change` once, before the `at`th question of that kind.
fn once(double: &Double, op: Op, at: usize, change: impl Fn() + Send + Sync + 'static) {
    let asked = AtomicUsize::new(0);
    double.before(move |asked_for, _| {
        if asked_for == op && asked.fetch_add(1, Ordering::Relaxed) + 1 == at {
            change();
        }
        Ok(())
    });
}

#[test]
fn a_same_size_edit_right_after_the_first_look_is_seen() {
    let bench = Bench::new();
    for round in 0..200_u32 {
        let text = format!("{round:08}");
        let path = bench.write("a", &text);
        assert!(bench.holds(&path, &text), "round {round}");
    }
}

#[test]
fn a_settled_stamp_saves_the_read() {
    let bench = Bench::new();
    let path = bench.write("a", "one");
    assert!(bench.reads(&path) && bench.reads(&path), "young");
    bench.double.wait(Duration::from_secs(5));
    assert!(bench.reads(&path) && !bench.reads(&path));
}

#[test]
fn an_edit_while_a_young_file_is_read_slowly_is_seen() {
    let bench = Bench::new();
    let path = bench.write("a", "one");
    bench.double.stamp_in_steps_of(Duration::from_secs(2));
    let (other, double) = (path.clone(), bench.double.clone());
    // The bytes have been read, the end of the file has not.
    once(&bench.double, Op::Read, 2, move || {
        fs::write(&other, "two").unwrap();
        double.wait(Duration::from_secs(4));
    });
    bench.files.digest(&path).unwrap();
    bench.double.undisturbed();
    assert!(bench.holds(&path, "two"));
}

#[test]
fn same_size_with_the_time_set_back_is_seen() {
    let bench = Bench::new();
    let path = bench.write("a", "one");
    let modified = fs::metadata(&path).unwrap().modified().unwrap();
    bench.double.wait(Duration::from_secs(5));
    assert!(bench.holds(&path, "one") && !bench.reads(&path));
    std::thread::sleep(Duration::from_millis(10));
    fs::write(&path, "two").unwrap();
    fs::File::options().append(true).open(&path).unwrap().set_modified(modified).unwrap();
    assert!(bench.holds(&path, "two"));
}

#[test]
fn what_was_read_during_a_write_is_not_remembered_under_the_stamp_before_it() {
    let bench = Bench::new();
    bench.double.without_change_time();
    let path = bench.write("a", "one");
    let modified = fs::metadata(&path).unwrap().modified().unwrap();
    bench.double.wait(Duration::from_secs(5));
    let other = path.clone();
    once(&bench.double, Op::Read, 2, move || fs::write(&other, "two").unwrap());
    bench.files.digest(&path).unwrap();
    bench.double.undisturbed();
    // The stamp is again what it was before the read.
    fs::File::options().append(true).open(&path).unwrap().set_modified(modified).unwrap();
    assert!(bench.holds(&path, "two"));
}

#[test]
fn coarse_stamps_are_not_trusted_too_early() {
    for step in [1, 2] {
        let bench = Bench::new();
        bench.double.stamp_in_steps_of(Duration::from_secs(step));
        bench.double.without_change_time();
        let path = bench.dir.path().join("a");
        for round in 0..40_u32 {
            let text = format!("{round:08}");
            fs::write(&path, &text).unwrap();
            assert!(bench.holds(&path, &text), "step {step}, round {round}");
        }
    }
}

#[test]
fn short_and_interrupted_reads_give_the_whole_file() {
    let bench = Bench::new();
    let path = bench.write("a", "a text of some length");
    bench.double.read_at_most(4);
    let asked = AtomicUsize::new(0);
    bench.double.before(move |op, _| {
        let odd = op == Op::Read && asked.fetch_add(1, Ordering::Relaxed) % 2 == 1;
        if odd { Err(io::ErrorKind::Interrupted.into()) } else { Ok(()) }
    });
    assert!(bench.holds(&path, "a text of some length"));
    assert_eq!(bench.files.read(&path).unwrap().0, b"a text of some length");
}

#[test]
fn a_failed_look_is_no_digest_and_is_not_remembered() {
    let bench = Bench::new();
    let path = bench.write("a", "one");
    for op in [Op::Status, Op::Open, Op::Read] {
        bench.double.before(
            move |asked, _| {
                if asked == op { Err(io::ErrorKind::PermissionDenied.into()) } else { Ok(()) }
            },
        );
        assert_eq!(bench.files.digest(&path).unwrap_err().kind(), io::ErrorKind::PermissionDenied);
        assert_eq!(bench.files.observe(input::file(&path)), None);
        assert!(bench.files.read(&path).is_err());
    }
    bench.double.undisturbed();
    assert!(bench.holds(&path, "one"));
}

#[cfg(unix)]
#[test]
fn special_files_are_refused_and_never_waited_for() {
    let bench = Bench::new();
    let pipe = bench.dir.path().join("pipe");
    rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::from_raw_mode(0o600)).unwrap();
    let socket = bench.dir.path().join("socket");
    let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    for (path, what) in [(&pipe, "pipe"), (&socket, "socket"), (&PathBuf::from("/dev/zero"), "device")] {
        let errors = [
            bench.files.digest(path).unwrap_err(),
            bench.files.read(path).unwrap_err(),
            bench.files.open(path).unwrap_err(),
        ];
        for error in errors {
            assert_eq!(error.kind(), io::ErrorKind::Unsupported);
            assert!(error.to_string().contains(what), "{error}");
        }
    }
}

#[cfg(unix)]
#[test]
fn a_pipe_that_takes_a_files_place_at_the_last_moment_is_not_waited_for() {
    let bench = Bench::new();
    let path = bench.write("a", "one");
    let place = path.clone();
    once(&bench.double, Op::Open, 1, move || {
        fs::remove_file(&place).unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, &place, rustix::fs::Mode::from_raw_mode(0o600)).unwrap();
    });
    assert_eq!(bench.files.read(&path).unwrap_err().kind(), io::ErrorKind::Unsupported);
}

#[test]
fn a_file_replaced_while_it_is_read_gives_bytes_and_digest_that_agree() {
    let changes: [fn(&Path); 3] = [
        |path| {
            fs::write(path.with_extension("new"), "replaced").unwrap();
            fs::rename(path.with_extension("new"), path).unwrap();
        },
        |path| {
            use std::io::Write;
            fs::File::options().append(true).open(path).unwrap().write_all(b" and more").unwrap();
        },
        |path| fs::File::options().write(true).open(path).unwrap().set_len(3).unwrap(),
    ];
    for (at, change) in changes.into_iter().enumerate() {
        for moment in 1..4 {
            let bench = Bench::new();
            let path = bench.write("a", "a text of some length");
            bench.double.wait(Duration::from_secs(5));
            bench.double.read_at_most(8);
            let place = path.clone();
            once(&bench.double, Op::Read, moment, move || change(&place));
            let (bytes, digest) = bench.files.read(&path).unwrap();
            bench.double.undisturbed();
            assert_eq!(Digest::of(&bytes), digest);
            let now = fs::read_to_string(&path).unwrap();
            assert!(bench.holds(&path, &now), "change {at} at read {moment}");
        }
    }
}

#[test]
fn a_file_replaced_while_it_is_opened_is_not_read_under_the_digest_of_the_other() {
    let bench = Bench::new();
    let (path, new) = (bench.write("a", "one"), bench.write("new", "two"));
    bench.double.wait(Duration::from_secs(5));
    let place = path.clone();
    // Once it is open, and before it is opened again to be digested.
    once(&bench.double, Op::Open, 2, move || fs::rename(&new, &place).unwrap());
    let error = bench.files.open(&path).unwrap_err();
    assert!(error.to_string().contains("changed while it was read"), "{error}");
    assert!(bench.holds(&path, "two"));
}

#[test]
fn an_open_file_that_is_too_large_to_copy_is_digested_under_a_settled_stamp() {
    let bench = Bench::new();
    let small = bench.write("small", "one");
    assert!(matches!(bench.files.open(&small).unwrap(), (Opened::Bytes(_), _)), "young and small");
    let path = bench.dir.path().join("large");
    fs::File::create(&path).unwrap().set_len(MOST_COPIED + 1).unwrap();
    let (opened, digest) = bench.files.open(&path).unwrap();
    let Opened::File { stamp, mut file } = opened else { panic!("copied") };
    assert!(stamp.is_settled(bench.double.now()));
    assert!(bench.holds(&path, &"\0".repeat(usize::try_from(MOST_COPIED).unwrap() + 1)));
    assert_eq!(bench.files.digest(&path).unwrap(), digest);
    file.seek(SeekFrom::Start(5)).unwrap();
    let mut bytes = [1; 3];
    file.read_exact(&mut bytes).unwrap();
    assert_eq!(bytes, [0; 3]);
}

/// With `FLECHE_LARGE` set: 8 GiB, in constant memory.
#[cfg(target_os = "linux")]
#[test]
fn files_larger_than_memory_are_streamed() {
    let length = if std::env::var_os("FLECHE_LARGE").is_some() { 8 << 30 } else { 8 << 20 };
    let bench = Bench::new();
    let path = bench.dir.path().join("large");
    fs::File::create(&path).unwrap().set_len(length).unwrap();
    bench.files.digest(&path).unwrap();
    assert!(bench.double.largest_request() <= 1 << 20, "read in pieces");
}
