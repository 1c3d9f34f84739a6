use fleche::fleche;

#[fleche(verson = 1)]
fn misspelt() {}

#[fleche(colour = "red")]
fn unknown() {}

#[fleche(hash_code = "file")]
fn level() {}

#[fleche(ignore = [missing])]
fn ignored(present: u8) -> u8 {
    present
}

#[fleche(version)]
fn bare() {}

fn main() {}
