//! What the attribute costs a build: `cargo run -p fleche-code --example build -- DIRECTORY [COUNT…]`. The package (with
//! its dependencies in reach of cargo) gets a module of so many functions that call into it: without the attribute, with
//! `hash_code = false`, which leaves out the analysis, and with it; also with macros that are compiled optimised.
//! Times are of all processors, in seconds: a build from nothing of this crate alone, one after an edit of one of the
//! functions, one after an edit of what all of them call, and `cargo check` after the latter; of edits the least of three.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let source = PathBuf::from(arguments.next().expect("the directory of a package"));
    let counts: Vec<usize> = arguments.map(|count| count.parse().expect("a number")).collect();
    let counts = if counts.is_empty() { vec![1, 10, 200] } else { counts };
    println!("| macros | functions | attribute | from nothing | one edited | all reached | check |");
    println!("|---|---|---|---|---|---|---|");
    for optimised in [false, true] {
        let scratch = Scratch::new(&source, optimised);
        for &count in &counts {
            let mut without = [Duration::ZERO; 4];
            for (name, attribute) in [
                ("none", ""),
                ("`hash_code = false`", "#[fleche::fleche(hash_code = false)]"),
                ("`#[fleche]`", "#[fleche::fleche]"),
            ] {
                let times = scratch.measure(count, attribute);
                if attribute.is_empty() {
                    without = times;
                }
                let shown = times.iter().zip(without).map(|(time, without)| {
                    let more = time.as_secs_f64() / without.as_secs_f64() * 100.0 - 100.0;
                    let share = if attribute.is_empty() { String::new() } else { format!(" ({more:+.0} %)") };
                    format!("{:.2}{share}", time.as_secs_f64())
                });
                let shown: Vec<String> = shown.collect();
                let macros = if optimised { "opt-level 3" } else { "as they come" };
                println!("| {macros} | {count} | {name} | {} |", shown.join(" | "));
            }
        }
    }
}

/// A copy of a package that depends on fleche.
struct Scratch {
    directory: PathBuf,
    root: String,
}

impl Scratch {
    fn new(source: &Path, optimised: bool) -> Self {
        // Beside this example, so that what it builds stays for the next time.
        let own = std::env::current_exe().expect("a path");
        let directory = own.ancestors().nth(3).expect("a target directory").join("build-cost");
        let _ = std::fs::remove_dir_all(directory.join("src"));
        copy(&source.join("src"), &directory.join("src"));
        let mut manifest: toml::Table = std::fs::read_to_string(source.join("Cargo.toml"))
            .expect("a manifest")
            .parse()
            .expect("readable");
        for key in ["dev-dependencies", "test", "bench", "example", "bin", "lints", "workspace"] {
            manifest.remove(key);
        }
        let fleche = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the engine");
        let mut dependency = toml::Table::new();
        dependency.insert("path".into(), fleche.display().to_string().into());
        let dependencies = manifest.entry("dependencies").or_insert(toml::Table::new().into());
        dependencies.as_table_mut().expect("a table").insert("fleche".into(), dependency.into());
        manifest.insert("workspace".into(), toml::Table::new().into());
        let mut text = manifest.to_string();
        if optimised {
            text.push_str("\n[profile.dev.build-override]\nopt-level = 3\n");
        }
        std::fs::write(directory.join("Cargo.toml"), text).expect("written");
        let _ = std::fs::copy(fleche.join("../Cargo.lock"), directory.join("Cargo.lock"));
        let root = std::fs::read_to_string(source.join("src/lib.rs")).expect("a library");
        Self { directory, root }
    }

    fn measure(&self, count: usize, attribute: &str) -> [Duration; 4] {
        // What some crates refuse, the attribute need not do.
        std::fs::write(
            self.directory.join("src/lib.rs"),
            format!("{}\n#[allow(missing_docs)] pub mod cached;\n", self.root),
        )
        .expect("written");
        self.write(count, attribute, [0, 0]);
        for command in ["build", "check"] {
            self.cargo(&[command]);
        }
        self.cargo(&["clean", "--package", &self.package()]);
        let cold = self.cargo(&["build"]);
        let edited = |command: &str, edit: fn(usize) -> [usize; 2]| {
            self.write(count, attribute, edit(0));
            self.cargo(&[command]);
            let times = (1..=3).map(|n| {
                self.write(count, attribute, edit(n));
                self.cargo(&[command])
            });
            times.min().unwrap_or_default()
        };
        [cold, edited("build", |n| [n, 0]), edited("build", |n| [0, n]), edited("check", |n| [0, n])]
    }

    fn package(&self) -> String {
        let text = std::fs::read_to_string(self.directory.join("Cargo.toml")).expect("a manifest");
        let manifest: toml::Table = text.parse().expect("readable");
        manifest["package"]["name"].as_str().expect("a name").to_owned()
    }

    /// Functions that all call one, and that the crate's own code. `edits`: what the first of them and what that one add.
    fn write(&self, count: usize, attribute: &str, edits: [usize; 2]) {
        let [first, inside] = edits;
        let mut text = format!(
            "fn inside() -> u64 {{ core::mem::size_of::<crate::Input<'static>>() as u64 + {inside} }}\n"
        );
        for n in 0..count {
            let edit = if n == 0 { first } else { 0 };
            let _ = writeln!(
                text,
                "{attribute} pub fn cached{n}(x: u64, text: alloc::string::String) -> u64 {{ x * {n} + {edit} + text.len() as u64 + inside() }}"
            );
        }
        std::fs::write(self.directory.join("src/cached.rs"), text).expect("written");
    }

    /// Runs cargo; how long processors were busy with it.
    fn cargo(&self, arguments: &[&str]) -> Duration {
        let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        command.args(arguments).args(["--quiet", "--offline"]).current_dir(&self.directory);
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("CARGO_")) {
            if !matches!(name.as_str(), "CARGO_HOME" | "CARGO_BUILD_JOBS") {
                command.env_remove(name);
            }
        }
        command.env("CARGO_TARGET_DIR", self.directory.join("target")).env("RUSTFLAGS", "-Awarnings");
        let before = children();
        let output = command.output().expect("cargo starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        children().saturating_sub(before)
    }
}

/// The processor time of all processes that this one started and that ended.
fn children() -> Duration {
    let text = std::fs::read_to_string("/proc/self/stat").expect("a Linux system");
    let fields = text.rsplit(") ").next().expect("fields").split(' ');
    let ticks: u64 = fields.skip(13).take(2).map(|field| field.parse::<u64>().expect("a number")).sum();
    // A tick is a hundredth of a second on all systems that rustc runs on.
    Duration::from_millis(ticks * 10)
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("created");
    for entry in std::fs::read_dir(from).expect("readable") {
        let path = entry.expect("readable").path();
        let to = to.join(path.file_name().expect("a name"));
        if path.is_dir() {
            copy(&path, &to);
        } else {
            std::fs::copy(&path, &to).expect("copied");
        }
    }
}
