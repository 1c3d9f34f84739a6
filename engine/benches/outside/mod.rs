//! Benchmarks whose peers take minutes to build: they live in packages outside of the workspace, below `benches/`, that
//! nobody builds who does not measure.

/// Builds and runs the package in that directory of `benches`, and ends as it does.
pub(crate) fn run(package: &str) -> ! {
    let manifest = format!("{}/benches/{package}/Cargo.toml", env!("CARGO_MANIFEST_DIR"));
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = std::process::Command::new(cargo)
        .args(["run", "--release", "--quiet", "--manifest-path", &manifest])
        .status()
        .expect("cargo runs");
    std::process::exit(status.code().unwrap_or(1));
}
