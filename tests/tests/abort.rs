//! Programs that are built with `panic = "abort"`, where nothing can be caught: hits, misses, edits, values set while calls
//! run, a panic that ends the process, and two programs over one store.
//!
//! All that the engine depends on is compiled once more for this, which takes more than a minute of the processor in a fresh
//! target directory: `cargo test -p fleche-tests --test abort -- --ignored` runs it.

mod scratch;

use std::process::{Command, Output};

use scratch::Scratch;

/// `@` stands for what makes the two programs different.
const PROGRAM: &str = r#"
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use fleche::{Input, fleche};

#[fleche]
fn words(path: &Path) -> std::io::Result<u64> {
    println!("words runs");
    Ok(fleche::fs::read_to_string(path)?.split_whitespace().count() as u64 * @)
}

#[fleche]
fn parity(path: &Path) -> std::io::Result<bool> {
    println!("parity runs");
    Ok(words(path)? % 2 == 0)
}

#[fleche]
fn fragile(path: &Path) -> std::io::Result<u64> {
    println!("fragile runs");
    let words = words(path)?;
    assert!(words > 2, "too few");
    Ok(words)
}

/// A parent that goes on without what failed.
#[fleche]
fn careless(path: &Path) -> u64 {
    println!("careless runs");
    words(path).unwrap_or(0)
}

static SET: std::sync::LazyLock<Input<u64>> = std::sync::LazyLock::new(|| Input::new("number", 0).unwrap());

#[fleche]
fn number() -> u64 {
    *SET.get()
}

#[fleche]
fn twice() -> (u64, u64) {
    let before = number();
    std::thread::yield_now();
    (before, number())
}

fn setters(cache: &fleche::Cache) {
    let (stop, calls) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let _scope = fleche::cache(cache).unwrap();
                while !stop.load(Ordering::SeqCst) {
                    // A call that meets two values starts over; if they change faster than that it returns both, and
                    // then nothing of it is kept.
                    twice();
                    if let Some((one, other)) = twice::load().unwrap() {
                        assert_eq!(one, other, "what is kept has seen one picture");
                    }
                    calls.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        let mut value = 0;
        while calls.load(Ordering::SeqCst) < 400 {
            value += 1;
            SET.set(value).unwrap();
            std::thread::yield_now();
        }
        stop.store(true, Ordering::SeqCst);
        let _scope = fleche::cache(cache).unwrap();
        while twice() != (value, value) {}
    });
    println!("set");
}

fn main() {
    let mut arguments = std::env::args().skip(1).map(PathBuf::from);
    let cache = fleche::Cache::open(arguments.next().unwrap()).unwrap();
    let _scope = fleche::cache(&cache).unwrap();
    let what = arguments.next().unwrap();
    let file = arguments.next().unwrap();
    match what.to_str().unwrap() {
        "words" => println!("{:?}", words(&file).map_err(|error| error.kind())),
        "parity" => println!("{:?}", parity(&file).map_err(|error| error.kind())),
        "careless" => println!("{}", careless(&file)),
        "fragile" => println!("{:?}", fragile(&file).map_err(|error| error.kind())),
        "rerun" => {
            let (result, report) = fleche::rerun(|| parity(&file));
            println!("{} {}", result.unwrap(), report.ran.len());
        }
        "setters" => setters(&cache),
        other => unreachable!("{other}"),
    }
}
"#;

struct Programs(Scratch);

impl Programs {
    fn new() -> Self {
        // Without debug information and optimisation: it is compiled more than it runs.
        let profile = "panic = \"abort\"\ndebug = false\nincremental = false\n";
        let mut scratch = Scratch::package("aborting", Some(profile));
        scratch.target.push("abort");
        scratch.write("src/bin/first.rs", &PROGRAM.replace('@', "1"));
        scratch.write("src/bin/second.rs", &PROGRAM.replace('@', "10"));
        scratch.cargo(&["build", "--quiet", "--bins"], &[]);
        Self(scratch)
    }

    fn start(&self, program: &str, what: &str) -> Output {
        Command::new(self.0.program(program))
            .arg(self.0.path("cache"))
            .arg(what)
            .arg(self.0.path("book"))
            .output()
            .expect("built")
    }

    fn run(&self, program: &str, what: &str) -> Vec<String> {
        let output = self.start(program, what);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("text").lines().map(String::from).collect()
    }
}

#[test]
#[ignore = "compiles everything once more, which takes minutes"]
fn a_program_that_aborts_on_panic_has_all_but_the_catching() {
    let programs = Programs::new();
    programs.0.write("book", "one two");
    // Misses, hits, an edit that is cut off, one that is not, a revert.
    assert_eq!(programs.run("first", "parity"), ["parity runs", "words runs", "Ok(true)"]);
    assert_eq!(programs.run("first", "parity"), ["Ok(true)"]);
    programs.0.write("book", "one two three four");
    assert_eq!(programs.run("first", "parity"), ["words runs", "parity runs", "Ok(true)"]);
    programs.0.write("book", "un deux trois quatre");
    assert_eq!(programs.run("first", "parity"), ["words runs", "Ok(true)"]);
    programs.0.write("book", "one two");
    assert_eq!(programs.run("first", "parity"), ["Ok(true)"]);

    // Another program over the same store has functions of the same names, and results of its own.
    assert_eq!(programs.run("second", "words"), ["words runs", "Ok(20)"]);
    assert_eq!(programs.run("first", "words"), ["Ok(2)"]);
    assert_eq!(programs.run("second", "words"), ["Ok(20)"]);

    // A failure, which is not kept, and a parent that swallows it, which is not either.
    std::fs::remove_file(programs.0.path("book")).expect("removed");
    assert_eq!(programs.run("first", "careless"), ["careless runs", "words runs", "0"]);
    assert_eq!(programs.run("first", "words"), ["words runs", "Err(NotFound)"]);
    programs.0.write("book", "one two");
    assert_eq!(programs.run("first", "careless"), ["careless runs", "2"]);

    // A panic ends the process. What was stored before is there, and nothing of the call that panicked.
    let ended = programs.start("first", "fragile");
    assert!(!ended.status.success());
    assert_eq!(String::from_utf8_lossy(&ended.stdout), "fragile runs\n", "`words` is a hit");
    assert!(String::from_utf8_lossy(&ended.stderr).contains("too few"));
    #[cfg(unix)]
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&ended.status), Some(6), "SIGABRT");
    assert_eq!(programs.run("first", "parity"), ["Ok(true)"]);
    programs.0.write("book", "one two three");
    assert_eq!(programs.run("first", "fragile"), ["fragile runs", "words runs", "Ok(3)"]);
    assert_eq!(programs.run("first", "fragile"), ["Ok(3)"]);

    assert_eq!(programs.run("first", "rerun"), ["parity runs", "words runs", "false 2"]);
    // A value that is set cancels nothing, and so ends nothing.
    assert_eq!(programs.run("first", "setters"), ["set"]);
}
