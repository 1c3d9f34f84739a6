//! What the attributes refuse, and where and in which words they say so.

#[test]
fn mistakes_are_reported_where_they_are() {
    let cases = trybuild::TestCases::new();
    cases.compile_fail("tests/errors/*.rs");
}
