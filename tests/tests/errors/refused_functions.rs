use fleche::fleche;

#[fleche]
async fn asynchronous() -> u8 {
    1
}

#[fleche]
unsafe fn dangerous() -> u8 {
    1
}

#[fleche]
const fn constant() -> u8 {
    1
}

#[fleche]
extern "C" fn foreign() -> u8 {
    1
}

#[fleche]
fn changes(list: &mut Vec<u8>) {
    list.push(1);
}

#[fleche]
fn nameless(x: impl Into<u64>) -> u64 {
    x.into()
}

#[fleche]
fn opaque() -> impl Iterator<Item = u8> {
    [1].into_iter()
}

#[fleche]
fn borrows(x: &str) -> &str {
    x
}

#[fleche]
fn str(x: u32) -> u32 {
    x
}

#[fleche(helpers = char_calls)]
fn char(x: u32) -> u32 {
    x
}

fn main() {}
