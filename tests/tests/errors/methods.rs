use fleche::fleche;

struct Counter(u8);

impl Counter {
    #[fleche]
    fn next(&self) -> u8 {
        self.0 + 1
    }
}

fn main() {}
