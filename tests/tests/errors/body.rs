// A wrong type in the body is reported in the body.
use fleche::fleche;

#[fleche]
fn wrong() -> u8 {
    let text: String = 1;
    text.len()
}

fn main() {}
