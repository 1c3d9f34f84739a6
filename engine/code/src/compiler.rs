//! What the compiler was asked to do: crate root, `--cfg`, `--extern`, as its arguments say.

use std::path::{Path, PathBuf};

/// One run of the compiler, read from its arguments.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Invocation {
    /// The crate's name; empty if none is given.
    pub name: String,
    /// The crate's root file, if it is a file.
    pub root: Option<PathBuf>,
    /// Each `--cfg`, as written, sorted.
    pub cfgs: Vec<String>,
    /// The crates named by `--extern`: name and the file's name (with cargo's hash of how it was built).
    pub externs: Vec<(String, String)>,
    /// Whether `--test` was given.
    pub test: bool,
    /// Options that change what code computes (`overflow-checks`, `panic`, `target-feature`), as written.
    pub options: Vec<String>,
    /// The target, or the host's system and architecture if none is named.
    pub target: String,
}

impl Invocation {
    /// Reads the compiler's arguments, its own name not counted. Relative paths are relative to `directory`.
    pub fn parse<I: IntoIterator<Item = String>>(arguments: I, directory: &Path) -> Self {
        let host = format!("{} {}", std::env::consts::OS, std::env::consts::ARCH);
        let mut invocation = Self { target: host, ..Self::default() };
        let mut arguments = expanded(arguments.into_iter().collect(), directory).into_iter();
        while let Some(argument) = arguments.next() {
            let (flag, value) = match argument.split_once('=') {
                Some((flag, value)) if flag.starts_with("--") => (flag.to_owned(), Some(value.to_owned())),
                _ => (argument.clone(), None),
            };
            let mut take = || value.clone().or_else(|| arguments.next()).unwrap_or_default();
            match flag.as_str() {
                "--crate-name" => invocation.name = take(),
                "--cfg" => invocation.cfgs.push(take()),
                "--extern" => invocation.externs.extend(extern_crate(&take())),
                "--test" => invocation.test = true,
                "-C" | "--codegen" => invocation.option(&take()),
                "--target" => invocation.target = take(),
                "--edition"
                | "--crate-type"
                | "--emit"
                | "--out-dir"
                | "-L"
                | "-l"
                | "-o"
                | "--error-format"
                | "--json"
                | "--cap-lints"
                | "--check-cfg"
                | "--sysroot"
                | "--color"
                | "-A"
                | "-W"
                | "-D"
                | "-F"
                | "--allow"
                | "--warn"
                | "--deny"
                | "--forbid"
                | "--force-warn"
                | "-Z"
                | "--diagnostic-width"
                | "--remap-path-prefix"
                | "--print"
                | "--explain"
                | "--env-set" => {
                    take();
                }
                _ if flag.starts_with("-C") => invocation.option(&argument[2..]),
                _ if flag.starts_with('-') => {}
                _ if invocation.root.is_none() && has_rust_extension(&argument) => {
                    invocation.root = Some(directory.join(&argument));
                }
                _ => {}
            }
        }
        invocation.cfgs.sort();
        invocation.externs.sort();
        invocation.root = invocation.root.filter(|root| root.is_file());
        invocation
    }

    /// Reads the arguments of the running process, which for a macro is the compiler's.
    pub fn of_this_process() -> Self {
        let directory = std::env::current_dir().unwrap_or_default();
        let arguments = std::env::args_os().skip(1).map(|argument| argument.to_string_lossy().into_owned());
        Self::parse(arguments, &directory)
    }

    fn option(&mut self, option: &str) {
        const COUNTED: [&str; 4] = ["overflow-checks", "panic", "target-feature", "target-cpu"];
        if COUNTED.iter().any(|counted| option.starts_with(counted)) {
            self.options.push(option.to_owned());
        }
    }
}

fn has_rust_extension(path: &str) -> bool {
    Path::new(path).extension().is_some_and(|extension| extension == "rs")
}

/// Replaces `@file` by the arguments in that file, one a line.
fn expanded(arguments: Vec<String>, directory: &Path) -> Vec<String> {
    arguments
        .into_iter()
        .flat_map(|argument| match argument.strip_prefix('@') {
            Some(path) => match std::fs::read_to_string(directory.join(path)) {
                Ok(text) => text.lines().map(str::to_owned).collect(),
                Err(_) => vec![argument],
            },
            None => vec![argument],
        })
        .collect()
}

/// `name=path`, or `options:name=path`, or just a name.
fn extern_crate(value: &str) -> Option<(String, String)> {
    let (name, path) = value.split_once('=').unwrap_or((value, ""));
    let name = name.rsplit(':').next()?;
    let file = Path::new(path).file_stem().map(|stem| stem.to_string_lossy().into_owned());
    Some((name.to_owned(), file.unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_cargo_passes() {
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::create_dir(dir.path().join("src")).expect("created");
        std::fs::write(dir.path().join("src/lib.rs"), "").expect("written");
        let arguments = "--crate-name app --edition=2024 src/lib.rs --error-format=json --crate-type lib \
            --emit=dep-info,metadata,link -C embed-bitcode=no -C overflow-checks=on --cfg feature=\"a\" \
            --check-cfg cfg(docsrs,test) -C extra-filename=-0123 --out-dir /t/deps -L dependency=/t/deps \
            --extern priv:serde=/t/deps/libserde-88.rmeta --extern near=/t/deps/libnear-99.rlib --cfg abc --target wasm32-wasip1";
        let invocation = Invocation::parse(arguments.split_whitespace().map(str::to_owned), dir.path());
        assert_eq!(
            invocation,
            Invocation {
                name: "app".into(),
                root: Some(dir.path().join("src/lib.rs")),
                cfgs: vec!["abc".into(), "feature=\"a\"".into()],
                externs: vec![("near".into(), "libnear-99".into()), ("serde".into(), "libserde-88".into())],
                test: false,
                options: vec!["overflow-checks=on".into()],
                target: "wasm32-wasip1".into(),
            }
        );
    }

    #[test]
    fn a_root_that_is_no_file_is_unknown() {
        let arguments = ["-".to_owned(), "--test".to_owned(), "gone.rs".to_owned()];
        let invocation = Invocation::parse(arguments, Path::new("/nowhere"));
        assert_eq!((invocation.root, invocation.test), (None, true));
    }
}
