//! Tables of numbers and ratios.

use std::time::{Duration, Instant};

/// What something took: by the clock on the wall, and of all processors by this process. The second is what counts where
/// other programs keep the machine busy.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Spent {
    pub wall: Duration,
    pub cpu: Duration,
}

impl std::ops::AddAssign for Spent {
    fn add_assign(&mut self, other: Self) {
        self.wall += other.wall;
        self.cpu += other.cpu;
    }
}

fn cpu() -> Duration {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: fills the struct that it is given.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut now) };
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}

/// Rows of one question. The ratio is to the row named as the base.
pub struct Table {
    title: String,
    base: &'static str,
    unit: &'static str,
    rows: Vec<(String, f64, Option<f64>)>,
}

impl Table {
    pub fn new(title: impl Into<String>, unit: &'static str, base: &'static str) -> Self {
        Self { title: title.into(), base, unit, rows: Vec::new() }
    }

    pub fn row(&mut self, name: impl Into<String>, number: f64) {
        self.add(name.into(), number, None);
    }

    /// A row of microseconds an operation.
    pub fn each(&mut self, name: impl Into<String>, count: u64, spent: Spent) {
        let each = |time: Duration| time.as_secs_f64() * 1e6 / count as f64;
        self.add(name.into(), each(spent.wall), Some(each(spent.cpu)));
    }

    fn add(&mut self, name: String, number: f64, cpu: Option<f64>) {
        eprintln!("  {}: {name}: {number:.3} {}", self.title, self.unit);
        self.rows.push((name, number, cpu));
    }

    pub fn print(self) {
        println!("\n## {}\n", self.title);
        let base = self.rows.iter().find(|(name, ..)| name == self.base);
        let timed = self.rows.iter().any(|(.., cpu)| cpu.is_some());
        let head = if timed { " of processor | ÷ |" } else { "" };
        println!("| | {} | ÷ {} |{head}", self.unit, self.base);
        println!("|---|---:|---:|{}", if timed { "---:|---:|" } else { "" });
        let ratio = |number: Option<f64>, base: Option<f64>| match (number, base) {
            (Some(number), Some(base)) if base > 0.0 => format!("{:.2}", number / base),
            _ => String::new(),
        };
        for (name, number, cpu) in &self.rows {
            let first = ratio(Some(*number), base.map(|(_, number, _)| *number));
            print!("| {name} | {number:.3} | {first} |");
            if timed {
                let second = ratio(*cpu, base.and_then(|(.., cpu)| *cpu));
                print!(" {:.3} | {second} |", cpu.unwrap_or(0.0));
            }
            println!();
        }
    }
}

pub fn time<T>(f: impl FnOnce() -> T) -> (Spent, T) {
    let (begun, before) = (Instant::now(), cpu());
    let value = f();
    (Spent { wall: begun.elapsed(), cpu: cpu().saturating_sub(before) }, value)
}

/// The median of several runs, by the clock.
pub fn median(runs: usize, mut f: impl FnMut() -> Spent) -> Spent {
    let mut times: Vec<_> = (0..runs).map(|_| f()).collect();
    times.sort();
    times[runs / 2]
}
