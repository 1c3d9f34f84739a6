//! atlas measures Rust sources: items, `unsafe` blocks, public functions, documentation, the largest files.
//!
//! It stands for any compiler-like tool: a function a file, a function a package, a function over all, each marked
//! `#[fleche]`. The first run parses everything; each later run, in whatever process, only what changed.

mod atlas;
mod measure;
mod sources;
mod table;
mod watch;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;

/// Measures Rust sources, parsing again only what changed since the last run.
#[derive(Parser)]
struct Arguments {
    /// Packages, or folders of packages; by default the dependencies that cargo downloaded for the workspace here
    folders: Vec<PathBuf>,
    /// Take only the first N packages
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Print the N largest packages
    #[arg(long, value_name = "N", default_value_t = 15)]
    rows: usize,
    /// Where results are kept between runs
    #[arg(long, value_name = "FOLDER", default_value = ".fleche/atlas")]
    cache: PathBuf,
    /// Tell of each call that was not a hit
    #[arg(short, long)]
    verbose: bool,
    /// Stay, and tell for each save what ran again and in how many milliseconds
    #[arg(long)]
    watch: bool,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("atlas: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), Box<dyn std::error::Error>> {
    let packages = arguments.packages()?;
    if packages.is_empty() {
        return Err("no Rust files found; name folders that hold some".into());
    }

    let started = Instant::now();
    let cache = fleche::Cache::open(&arguments.cache)?;
    let _scope = fleche::cache(&cache)?;
    if arguments.verbose {
        cache.subscribe(|event| {
            if event.fate != fleche::Fate::Hit {
                eprintln!("{event}");
            }
        });
    }
    // Before the first run, so that what is saved during it is not missed.
    let watching = arguments.watch.then(|| watch::begin(arguments, &packages, &cache)).transpose()?;
    let atlas = atlas::atlas(&packages)?;
    let took = started.elapsed();

    print!("{}", table::table(&atlas, arguments.rows)?);
    println!("\n{}", table::outcome(cache.stats(), took));
    watching.map_or(Ok(()), |watching| watching.follow(arguments))
}

impl Arguments {
    /// The packages to measure, as they are now.
    fn packages(&self) -> std::io::Result<Vec<sources::Package>> {
        let mut packages = if self.folders.is_empty() {
            sources::downloaded()?
        } else {
            sources::in_folders(&self.folders)?
        };
        packages.truncate(self.limit.unwrap_or(usize::MAX));
        Ok(packages)
    }
}
