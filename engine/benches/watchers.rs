//! `cargo bench -p fleche --bench watchers`: from a write to the callback that is told of it, and what watching costs.
//!
//! The others (`notify`, `watchexec`) take minutes to build, so they live in a package outside of the workspace,
//! `benches/watchers`, that nobody builds who does not measure. This starts it.

fn main() {
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/watchers/Cargo.toml");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = std::process::Command::new(cargo)
        .args(["run", "--release", "--quiet", "--manifest-path", manifest])
        .status()
        .expect("cargo runs");
    std::process::exit(status.code().unwrap_or(1));
}
