//! The cached functions: one a file, one a package, one over everything.
//!
//! The tree of calls is the tree of the table, so an edit travels up it until a result comes out as it was: an
//! edited comment stops at its package. Nothing here may read a file but through `fleche::fs`, nor start threads
//! but through `fleche::par_map`, which loses no edge.

use std::io;
use std::path::{Path, PathBuf};

use fleche::{fleche, value};

use crate::measure::{Measures, measure};
use crate::sources::Package;

/// How many of the largest files a summary names.
pub(crate) const LARGEST: usize = 10;

/// What became of one file.
#[value]
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum FileSummary {
    /// It is Rust.
    Measured(Measures),
    /// It is not, and why: test data of a parser, a template.
    Unparsed(String),
}

/// A file and its size in tokens.
#[value]
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Weighed {
    pub(crate) path: String,
    pub(crate) tokens: u64,
}

/// What a package amounts to.
#[value]
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PackageSummary {
    pub(crate) name: String,
    pub(crate) files: u64,
    pub(crate) unparsed: u64,
    pub(crate) sums: Measures,
    /// At most [`LARGEST`], the largest first.
    pub(crate) largest: Vec<Weighed>,
}

/// What all packages together amount to.
#[value]
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Atlas {
    pub(crate) files: u64,
    pub(crate) unparsed: u64,
    pub(crate) sums: Measures,
    /// The largest first.
    pub(crate) packages: Vec<PackageSummary>,
    /// At most [`LARGEST`], the largest first.
    pub(crate) largest: Vec<Weighed>,
}

/// Measures one file.
#[fleche]
pub(crate) fn parse(path: &Path) -> io::Result<FileSummary> {
    // Not `read_to_string`: a file that is no text is something to count, not a failure.
    let bytes = fleche::fs::read(path)?;
    let measured = str::from_utf8(&bytes).map_err(|error| error.to_string()).and_then(measure);
    Ok(measured.map_or_else(FileSummary::Unparsed, FileSummary::Measured))
}

/// Adds up the files of one package.
#[fleche]
pub(crate) fn summarise(name: &str, root: &Path, files: &[PathBuf]) -> io::Result<PackageSummary> {
    let mut summary = PackageSummary {
        name: name.to_owned(),
        files: files.len() as u64,
        unparsed: 0,
        sums: Measures::default(),
        largest: Vec::new(),
    };
    for (file, parsed) in files.iter().zip(fleche::par_map(files, |file| parse(&root.join(file)))) {
        match parsed? {
            FileSummary::Measured(sums) => {
                summary.sums.add(&sums);
                summary.largest.push(Weighed { path: file.display().to_string(), tokens: sums.tokens });
            }
            FileSummary::Unparsed(_) => summary.unparsed += 1,
        }
    }
    keep_largest(&mut summary.largest);
    Ok(summary)
}

/// Adds up the packages.
#[fleche]
pub(crate) fn atlas(packages: &[Package]) -> io::Result<Atlas> {
    let mut all =
        Atlas { files: 0, unparsed: 0, sums: Measures::default(), packages: Vec::new(), largest: Vec::new() };
    for summary in fleche::par_map(packages, |Package { name, root, files }| summarise(name, root, files)) {
        let summary = summary?;
        all.files += summary.files;
        all.unparsed += summary.unparsed;
        all.sums.add(&summary.sums);
        all.largest.extend(
            summary
                .largest
                .iter()
                .map(|file| Weighed { path: format!("{}/{}", summary.name, file.path), ..*file }),
        );
        all.packages.push(summary);
    }
    all.packages.sort_by(|a, b| b.sums.tokens.cmp(&a.sums.tokens).then_with(|| a.name.cmp(&b.name)));
    keep_largest(&mut all.largest);
    Ok(all)
}

fn keep_largest(files: &mut Vec<Weighed>) {
    files.sort_by(|a, b| b.tokens.cmp(&a.tokens).then_with(|| a.path.cmp(&b.path)));
    files.truncate(LARGEST);
}
