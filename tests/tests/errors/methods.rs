use fleche::fleche;

struct Counter(u8);

impl Counter {
    #[fleche]
    fn next(&self) -> u8 {
        self.0 + 1
    }
}

impl Counter {
    #[fleche]
    fn new(start: u8) -> Self {
        // This one is free.
        #[fleche]
        fn inner(start: u8) -> u8 {
            start
        }
        Self(inner(start))
    }
}

trait Count {
    #[fleche]
    fn declared(start: u8) -> u8;

    #[fleche]
    fn provided(start: u8) -> u8 {
        start
    }
}

impl Count for Counter {
    #[fleche]
    fn declared(start: u8) -> u8 {
        start
    }
}

#[fleche]
struct Thing;

fn main() {}
