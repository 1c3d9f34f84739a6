use fleche::value;

#[value]
struct Borrowed<'a>(&'a str);

fn main() {}
