//! Measures the store against its peers and prints tables of ratios.
//!
//! `FLECHE_BENCH=quick` (seconds), unset (about two minutes) or `full` (1M entries a size, 10M entries, 4 GiB).

mod large;
mod peers;
mod small;
mod table;

/// How much is measured.
#[derive(Clone, Copy)]
pub struct Scale {
    /// Entries of 100 bytes, 1 KiB, 16 KiB.
    pub entries: [u64; 3],
    /// Entries for lookups and opening.
    pub many: u64,
    /// Bytes of the large value that is written.
    pub large: u64,
    /// Bytes of the array of floats that is read.
    pub floats: u64,
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    match arguments.next().as_deref() {
        Some("child") => return large::child(&arguments.collect::<Vec<_>>()),
        Some("profile") => return small::profile(),
        Some("many") => {
            let many = arguments.next().and_then(|text| text.parse().ok()).unwrap_or(10_000_000);
            return small::many(Scale { entries: [0; 3], many, large: 0, floats: 0 });
        }
        _ => {}
    }
    let scale = match std::env::var("FLECHE_BENCH").as_deref() {
        Ok("quick") => {
            Scale { entries: [20_000, 5_000, 500], many: 100_000, large: 64 << 20, floats: 64 << 20 }
        }
        Ok("full") => {
            Scale { entries: [1_000_000, 200_000, 20_000], many: 10_000_000, large: 4 << 30, floats: 1 << 30 }
        }
        _ => {
            Scale { entries: [200_000, 40_000, 4_000], many: 1_000_000, large: 512 << 20, floats: 256 << 20 }
        }
    };
    small::puts_and_gets(scale);
    small::many(scale);
    small::processes();
    large::reading(scale);
    large::writing(scale);
}
