//! Tables of numbers and ratios.

use std::time::{Duration, Instant};

/// Rows of one question. The ratio is to the row named as the base.
pub struct Table {
    base: &'static str,
    unit: &'static str,
    rows: Vec<(String, f64)>,
}

impl Table {
    pub fn new(title: &str, unit: &'static str, base: &'static str) -> Self {
        println!("\n## {title}\n");
        Self { base, unit, rows: Vec::new() }
    }

    pub fn row(&mut self, name: impl Into<String>, number: f64) {
        let name = name.into();
        eprintln!("  {name}: {number:.3} {}", self.unit);
        self.rows.push((name, number));
    }

    /// A row of microseconds an operation.
    pub fn each(&mut self, name: impl Into<String>, count: u64, time: Duration) {
        self.row(name, time.as_secs_f64() * 1e6 / count as f64);
    }

    pub fn print(self) {
        let base = self.rows.iter().find(|(name, _)| name == self.base).map(|(_, number)| *number);
        println!("| | {} | ÷ {} |\n|---|---:|---:|", self.unit, self.base);
        for (name, number) in &self.rows {
            let ratio = base.map_or(String::new(), |base| format!("{:.2}", number / base));
            println!("| {name} | {number:.3} | {ratio} |");
        }
    }
}

pub fn time<T>(f: impl FnOnce() -> T) -> (Duration, T) {
    let begun = Instant::now();
    let value = f();
    (begun.elapsed(), value)
}

/// The median of several runs.
pub fn median(runs: usize, mut f: impl FnMut() -> Duration) -> Duration {
    let mut times: Vec<_> = (0..runs).map(|_| f()).collect();
    times.sort();
    times[runs / 2]
}
