//! What `#[fleche]` expands to, and what it refuses.

use syn::{File, ImplItem, Item};

use super::*;

fn expanded(options: TokenStream, item: &TokenStream) -> File {
    let tokens = expand(options, item);
    syn::parse2(tokens.clone()).unwrap_or_else(|error| panic!("{error} in {tokens}"))
}

fn text(tokens: impl quote::ToTokens) -> String {
    tokens.to_token_stream().to_string()
}

fn helpers(file: &File) -> Vec<String> {
    let items = file.items.iter().filter_map(|item| match item {
        Item::Impl(block) => Some(&block.items),
        _ => None,
    });
    items
        .flatten()
        .filter_map(|item| match item {
            ImplItem::Fn(function) => Some(function.sig.ident.to_string()),
            _ => None,
        })
        .collect()
}

#[test]
fn a_function_gets_helpers_and_is_registered() {
    let file = expanded(
        quote!(version = 1, hash_code = false),
        &quote!(
            /// Counts.
            pub fn count(path: &Path, mut n: u32) -> io::Result<Counts> {
                body(path, n)
            }
        ),
    );
    assert_eq!(
        helpers(&file),
        ["uncached", "begin", "call", "digest", "contains", "load", "view", "rerun", "code"]
    );
    let all = text(&file);
    assert!(all.contains("count :: uncached (path , n)"), "{all}");
    assert!(all.contains(
        "fn uncached (path : & Path , mut n : u32) -> io :: Result < Counts > { body (path , n) }"
    ));
    assert!(all.contains("referent ()"), "{all}");
    assert!(all.contains("inventory :: submit !"), "{all}");
    assert!(all.contains("version : \"1\""), "{all}");
}

#[test]
fn generic_functions_are_neither_registered_nor_recalled() {
    let file = expanded(
        quote!(hash_code = "body"),
        &quote!(
            fn f<'a, T: Ord, const N: usize>(x: &'a [T; N]) -> Vec<T>
            where
                T: Clone,
            {
                vec![]
            }
        ),
    );
    let all = text(&file);
    assert!(all.contains("type_name_of_val (& f :: < T , N >)"), "{all}");
    assert!(all.contains("f :: uncached :: < T , N > (x)"), "{all}");
    assert!(
        !all.contains("inventory") && all.contains("recall : :: core :: option :: Option :: None"),
        "{all}"
    );
}

#[test]
fn ignored_parameters_are_passed_on_but_do_not_count() {
    let file = expanded(
        quote!(ignore = [verbose], hash_code = false),
        &quote!(
            fn f(x: u8, verbose: bool) -> u8 {
                x
            }
        ),
    );
    let all = text(&file);
    assert!(all.contains("uncached (x , verbose)") && all.contains("parameters : & [\"x\"]"), "{all}");
    assert!(!all.contains("argument (& verbose)") && !all.contains("keep (& verbose)"), "{all}");
}

#[test]
fn patterns_and_names_that_clash_get_plain_names() {
    let all = text(expanded(
        quote!(hash_code = false),
        &quote!(
            fn f((a, b): (u8, u8), f: u8) -> u8 {
                a + b + f
            }
        ),
    ));
    assert!(all.contains("fn f (__argument_0 : (u8 , u8) , __argument_1 : u8)"), "{all}");
    assert!(all.contains("fn uncached ((a , b) : (u8 , u8) , f : u8)"), "{all}");
    assert!(all.contains(r#"parameters : & ["(a, b)" , "f"]"#), "{all}");
}

#[test]
fn attributes_go_where_they_belong() {
    let all = text(expanded(
        quote!(hash_code = false, helpers = other),
        &quote!(
            #[cfg(unix)]
            #[must_use]
            #[expect(unused_variables)]
            fn f() -> u8 {
                1
            }
        ),
    ));
    assert_eq!(all.matches("cfg (unix)").count(), 4, "{all}");
    assert_eq!(all.matches("# [must_use]").count(), 1);
    assert!(all.contains("# [expect (unused_variables)] fn uncached"), "{all}");
    assert!(all.contains("enum other { }"), "{all}");
}

#[test]
fn what_cannot_be_cached_is_refused_and_left_as_it_was() {
    for (item, message) in [
        (
            quote!(
                async fn f() -> u8 {
                    1
                }
            ),
            "blocking part",
        ),
        (
            quote!(
                fn f(&self) -> u8 {
                    1
                }
            ),
            "free function",
        ),
        (
            quote!(
                fn f(x: &mut u8) {}
            ),
            "by value",
        ),
        (
            quote!(
                fn f(x: impl Ord) {}
            ),
            "type parameter",
        ),
        (
            quote!(
                fn f() -> impl Ord {
                    1
                }
            ),
            "can be stored",
        ),
        (
            quote!(
                fn f(x: &str) -> &str {
                    x
                }
            ),
            "owned value",
        ),
        (
            quote!(
                unsafe fn f() {}
            ),
            "`unsafe fn`",
        ),
        (
            quote!(
                const fn f() {}
            ),
            "`const fn`",
        ),
        (
            quote!(
                extern "C" fn f() {}
            ),
            "`extern`",
        ),
    ] {
        let all = expand(quote!(), &item).to_string();
        assert!(all.contains("compile_error") && all.contains(message), "{all}");
        assert!(all.ends_with(&item.to_string()), "{all}");
    }
    assert!(
        expand(
            quote!(ignore = [z]),
            &quote!(
                fn f(x: u8) {}
            )
        )
        .to_string()
        .contains("`z` is no parameter; there are `x`")
    );
}
