//! The crates that are mutated, each with functions over it that tell what it does.

pub(crate) mod opened;

/// A crate, how it is compiled, and functions whose results tell what it does.
pub(crate) struct Subject {
    pub(crate) name: &'static str,
    pub(crate) edition: &'static str,
    pub(crate) arguments: &'static [&'static str],
    pub(crate) imports: &'static str,
    pub(crate) functions: &'static [(&'static str, &'static str)],
}

pub(crate) const SUBJECTS: &[Subject] = &[
    Subject {
        name: "strsim",
        edition: "2015",
        arguments: &[],
        imports: "use super::*;",
        functions: &[
            ("hamming_of", r#"format!("{:?} {:?}", hamming("kathrin", "karolin"), hamming("a", "ab"))"#),
            ("jaro_of", r#"format!("{:?} {:?}", jaro("dixon", "dicksonx"), jaro("", "x"))"#),
            (
                "winkler_of",
                r#"format!("{:?} {:?}", jaro_winkler("martha", "marhta"), jaro_winkler("cheeseburger", "cheese fries"))"#,
            ),
            (
                "levenshtein_of",
                r#"format!("{:?} {:?}", levenshtein("kitten", "sitting"), normalized_levenshtein("kitten", "sitten"))"#,
            ),
            ("osa_of", r#"format!("{:?}", osa_distance("ab", "bca"))"#),
            (
                "damerau_of",
                r#"format!("{:?} {:?}", damerau_levenshtein("ab", "bca"), normalized_damerau_levenshtein("levenshtein", "löwenbräu"))"#,
            ),
            ("dice_of", r#"format!("{:?}", sorensen_dice("french", "quebec fr"))"#),
        ],
    },
    Subject {
        name: "shlex",
        edition: "2018",
        arguments: &["--cfg", "feature=\"std\""],
        imports: "use super::*;",
        functions: &[
            (
                "split_of",
                r#"format!("{:?}", [split("a 'b c' \"d\\\"e\" f\\ g # h"), split("'"), split("x\\\ny")])"#,
            ),
            (
                "quote_of",
                r#"format!("{:?}", [try_quote("a b"), try_quote("it's"), try_quote("plain"), try_quote(""), try_quote("x\0y"), try_quote("a^b")])"#,
            ),
            ("join_of", r#"format!("{:?}", try_join(["a", "b c", "$d"]))"#),
            (
                "lines_of",
                r#"{ let mut s = Shlex::new("a\n#c\nb"); format!("{:?} {} {}", s.by_ref().collect::<Vec<_>>(), s.line_no, s.had_error) }"#,
            ),
        ],
    },
    Subject {
        name: "heck",
        edition: "2021",
        arguments: &[],
        imports: "use super::*;",
        functions: &[
            ("snake_of", r#""XMLHttpRequest_of fooBar99 éTÉ".to_snake_case()"#),
            ("kebab_of", r#""XMLHttpRequest_of fooBar99".to_kebab_case()"#),
            ("camel_of", r#""xml http_request-of ABCDef".to_lower_camel_case()"#),
            ("upper_of", r#""xml http_request-of ABCDef".to_upper_camel_case()"#),
            (
                "shouty_of",
                r#"format!("{} {}", "aBc dEf".to_shouty_snake_case(), "aBc dEf".to_shouty_kebab_case())"#,
            ),
            ("title_of", r#"format!("{} {}", "aBc dEfΣ".to_title_case(), AsTrainCase("aBc dEfΣ"))"#),
        ],
    },
    Subject {
        name: "fixedbitset",
        edition: "2021",
        arguments: &["--cfg", "feature=\"std\""],
        imports: "use super::*;",
        functions: &[
            (
                "ones_of",
                r#"{ let mut b = FixedBitSet::with_capacity(200); b.insert_range(3..140); b.toggle(9); b.set(7, false); format!("{:?} {}", b.ones().collect::<Vec<_>>(), b.count_ones(..)) }"#,
            ),
            (
                "combined_of",
                r#"{ let a: FixedBitSet = [1, 5, 64, 130].into_iter().collect(); let b: FixedBitSet = [5, 64, 65].into_iter().collect(); format!("{:?} {:?} {:?}", (&a & &b).ones().collect::<Vec<_>>(), (&a | &b).ones().collect::<Vec<_>>(), a.difference(&b).collect::<Vec<_>>()) }"#,
            ),
            (
                "bounds_of",
                r#"{ let a: FixedBitSet = [17, 99].into_iter().collect(); format!("{:?} {:?} {} {a:b}", a.minimum(), a.maximum(), a.contains(99)) }"#,
            ),
            (
                "subset_of",
                r#"{ let a: FixedBitSet = [1, 5].into_iter().collect(); let b: FixedBitSet = [1, 5, 70].into_iter().collect(); format!("{} {} {}", a.is_subset(&b), b.is_superset(&a), a.is_disjoint(&b)) }"#,
            ),
        ],
    },
    Subject {
        name: "itoa",
        edition: "2021",
        arguments: &[],
        imports: "use super::*;",
        functions: &[
            (
                "small_of",
                r#"[0_i32, 7, 42, -99, 100, 1234, -65535, i32::MIN, i32::MAX].map(|n| Buffer::new().format(n).to_owned()).join(" ")"#,
            ),
            (
                "large_of",
                r#"[0_u64, 99_999_999, 100_000_000, 12_345_678_901_234, u64::MAX].map(|n| Buffer::new().format(n).to_owned()).join(" ")"#,
            ),
            (
                "huge_of",
                r#"[1_u128, u128::from(u64::MAX) + 1, 10_u128.pow(33) + 17, u128::MAX].map(|n| Buffer::new().format(n).to_owned()).join(" ")"#,
            ),
            ("byte_of", r#"[0_u8, 9, 10, 200, 255].map(|n| Buffer::new().format(n).to_owned()).join(" ")"#),
        ],
    },
    Subject {
        name: "glob",
        edition: "2021",
        arguments: &[],
        imports: "use super::*;",
        functions: &[
            (
                "matches_of",
                r#"format!("{:?}", ["a?c", "*.rs", "[a-cx]*[!0-9]", "**/b", "a/**/c", "[!a]b"].map(|p| ["abc", "x.rs", "b7", "bz", "a/b", "a/x/y/c", "zb"].map(|t| Pattern::new(p).unwrap().matches(t))))"#,
            ),
            (
                "options_of",
                r#"{ let o = MatchOptions { case_sensitive: false, require_literal_separator: true, require_literal_leading_dot: true }; format!("{:?}", ["A*", "*/[A-C]", "*", "?x"].map(|p| ["abc", "q/b", ".dot", "a/b", ".x"].map(|t| Pattern::new(p).unwrap().matches_with(t, o)))) }"#,
            ),
            (
                "errors_of",
                r#"format!("{:?}", ["a***", "[", "a**b", "[!]", "x/**y"].map(|p| Pattern::new(p).map_err(|e| (e.pos, e.msg))))"#,
            ),
            (
                "escape_of",
                r#"format!("{} {}", Pattern::escape("_[_]_?_*_!_"), Pattern::new("a[!b]").unwrap())"#,
            ),
        ],
    },
    Subject {
        name: "similar",
        edition: "2024",
        arguments: &["--cfg", "feature=\"text\"", "--cfg", "feature=\"std\""],
        imports: "use super::*;",
        functions: &[
            (
                "myers_of",
                r#"format!("{:?}", capture_diff_slices(Algorithm::Myers, &[1, 2, 3, 4, 9], &[1, 3, 5, 4, 9, 2]))"#,
            ),
            (
                "patience_of",
                r#"format!("{:?}", capture_diff_slices(Algorithm::Patience, &[1, 2, 3, 4, 9, 7], &[1, 3, 5, 4, 9, 2, 7]))"#,
            ),
            (
                "lcs_of",
                r#"format!("{:?}", capture_diff_slices(Algorithm::Lcs, &[1, 2, 3, 4, 9], &[1, 3, 5, 4, 9, 2]))"#,
            ),
            (
                "unified_of",
                r#"TextDiff::from_lines("a\nb\nc\nd\n", "a\nB\nc\ne\n").unified_diff().context_radius(1).header("x", "y").to_string()"#,
            ),
            ("ratio_of", r#"format!("{:?}", TextDiff::from_words("a b c", "a d c e").ratio())"#),
        ],
    },
    Subject {
        name: "bit-vec",
        edition: "2021",
        arguments: &["--cfg", "feature=\"std\""],
        imports: "use super::*;",
        functions: &[
            (
                "pushed_of",
                r#"{ let mut v = BitVec::new(); for at in 0..70 { v.push(at % 3 == 0); } v.set(4, true); v.pop(); v.grow(3, true); v.truncate(69); format!("{v} {v:?} {} {}", v.len(), v.count_ones()) }"#,
            ),
            (
                "small_blocks_of",
                r#"{ let mut v: BitVec<u8> = BitVec::from_bytes_general(&[0b1010_0110, 0b0001_1110]); v.insert(3, true); let gone = v.remove(7); format!("{v} {gone} {:?} {:?}", v.to_bytes(), v.get(99)) }"#,
            ),
            (
                "combined_of",
                r#"{ let (a, b) = (BitVec::from_bytes(&[0b1100, 7]), BitVec::from_bytes(&[0b1010, 9])); ["or", "and", "xor", "nand", "nor", "xnor", "difference"].map(|op| { let mut c = a.clone(); let changed = match op { "or" => c.or(&b), "and" => c.and(&b), "xor" => c.xor(&b), "nand" => c.nand(&b), "nor" => c.nor(&b), "xnor" => c.xnor(&b), _ => c.difference(&b) }; format!("{op} {c} {changed}") }).join(" ") }"#,
            ),
            (
                "split_of",
                r#"{ let mut a = BitVec::from_fn(77, |at| at % 5 < 2); let mut b = a.split_off(33); let c = b.split_off(32); b.append(&mut a); b.negate(); format!("{b} {c} {} {} {:?}", b.all(), c.none(), b.cmp(&c)) }"#,
            ),
            (
                "walked_of",
                r#"{ let mut v = BitVec::from_elem(40, false); for mut bit in v.iter_mut().skip(3).step_by(4) { *bit = true; } format!("{:?} {:?}", v.iter().rev().map(u8::from).collect::<Vec<_>>(), v.blocks().collect::<Vec<_>>()) }"#,
            ),
        ],
    },
    Subject {
        name: "toml_datetime",
        edition: "2024",
        arguments: &["--cfg", "feature=\"std\"", "--cfg", "feature=\"alloc\""],
        imports: "use super::*; use std::{format, string::{String, ToString}, vec::Vec};",
        functions: &[
            (
                "read_of",
                r#"format!("{:?}", ["1979-05-27T07:32:00Z", "1979-05-27T00:32:00.999999-07:00", "1979-05-27 07:32:00", "1979-05-27", "07:32:00.5", "2000-02-29", "07:32"].map(str::parse::<Datetime>))"#,
            ),
            (
                "refused_of",
                r#"["1979-13-27", "1979-02-30", "1900-02-29", "25:00:00", "07:61:00", "07:32:61", "1979-05-27T07:32:00+25:00", "79-05-27", "1979/05/27", "", "07:3", "1979-05-27T", "1979-05-27Q07:32:00", "1979-05-27T07:32:00.Z", "1979-04-31"].map(|text| match text.parse::<Datetime>() { Ok(date) => date.to_string(), Err(error) => error.to_string() }).join("|")"#,
            ),
            (
                "shown_of",
                r#"[Datetime::from(Date { year: 7, month: 2, day: 3 }).to_string(), Datetime::from(Time { hour: 1, minute: 2, second: Some(3), nanosecond: Some(40_500) }).to_string(), Datetime { date: Some(Date { year: 2024, month: 12, day: 31 }), time: Some(Time { hour: 23, minute: 59, second: None, nanosecond: None }), offset: Some(Offset::Custom { minutes: -95 }) }.to_string(), Offset::Z.to_string()].join(" ")"#,
            ),
            (
                "ordered_of",
                r#"{ let mut all: Vec<Datetime> = ["07:32:00", "1979-05-27", "1978-05-27T01:00:00Z", "06:32:00.25"].iter().map(|text| text.parse().unwrap()).collect(); all.sort(); format!("{all:?}") }"#,
            ),
        ],
    },
    Subject {
        name: "toml_writer",
        edition: "2024",
        arguments: &["--cfg", "feature=\"std\"", "--cfg", "feature=\"alloc\""],
        imports: "use super::*; use std::{format, string::String, vec};",
        functions: &[
            (
                "texts_of",
                r#"["plain", "it's", "say \"x\"", "a\nb", "tab\there", "\u{7}bell \\ ''' \"\"\"", "", "\r\n''", "é\u{7f}"].map(|text| format!("{} {} {:?}", text.to_toml_value(), TomlStringBuilder::new(text).as_ml_basic().to_toml_value(), TomlStringBuilder::new(text).as_ml_literal().map(|t| t.to_toml_value()))).join("|")"#,
            ),
            (
                "keys_of",
                r#"["plain", "with space", "", "it's", "a.b", "q\"q'", "-_09", "é", "\n"].map(|key| format!("{} {:?} {:?}", key.to_toml_key(), TomlKeyBuilder::new(key).as_unquoted().map(|k| k.to_toml_key()), TomlKeyBuilder::new(key).as_literal().map(|k| k.to_toml_key()))).join("|")"#,
            ),
            (
                "numbers_of",
                r#"format!("{} {} {} {} {} {} {}", 1.5_f64.to_toml_value(), f64::NAN.to_toml_value(), f32::NEG_INFINITY.to_toml_value(), (-0.0_f64).to_toml_value(), 3.0_f32.to_toml_value(), (-7_i64).to_toml_value(), 200_u8.to_toml_value())"#,
            ),
            (
                "integers_of",
                r#"{ let b = TomlIntegerFormat::new; [b().as_hex_upper().format(255), b().as_hex_lower().format(255), b().as_octal().format(8), b().as_binary().format(5), b().as_decimal().format(-9), b().as_hex_lower().format(-1)].map(|n| format!("{:?}", n.map(|n| n.to_toml_value()))).join(" ") }"#,
            ),
            (
                "tables_of",
                r#"{ let mut out = String::new(); out.open_table_header().unwrap(); out.key("b c").unwrap(); out.key_sep().unwrap(); out.key("d").unwrap(); out.close_table_header().unwrap(); out.newline().unwrap(); out.key("k").unwrap(); out.space().unwrap(); out.keyval_sep().unwrap(); out.value(vec![1, 2]).unwrap(); out.value(true).unwrap(); out.open_comment().unwrap(); out.val_sep().unwrap(); out }"#,
            ),
        ],
    },
    Subject {
        name: "unit-prefix",
        edition: "2018",
        arguments: &["--cfg", "feature=\"std\""],
        imports: "use super::*;",
        functions: &[
            (
                "decimal_of",
                r#"[0.0, 999.0, 1000.0, -54321.0, 8_542_000.0, 1e12, 3e16, 7e19, 2e22, 9e25].iter().map(|n: &f64| match NumberPrefix::decimal(*n) { NumberPrefix::Standalone(n) => format!("{n}"), NumberPrefix::Prefixed(p, n) => format!("{n:.2} {p} {} {} {} {}", p.upper(), p.caps(), p.lower(), p.symbol()) }).collect::<Vec<_>>().join(" ")"#,
            ),
            (
                "binary_of",
                r#"[1.0_f32, 1023.0, 1024.0, -8192.0, 3e6, 5e9, 2e13, 4e16, 8e19, 3e22, 1e25].iter().map(|n| match NumberPrefix::binary(*n) { NumberPrefix::Standalone(n) => format!("{n}"), NumberPrefix::Prefixed(p, n) => format!("{n:.2} {p} {} {} {}", p.upper(), p.caps(), p.lower()) }).collect::<Vec<_>>().join(" ")"#,
            ),
            (
                "read_of",
                r#"format!("{:?}", ["7.05E3", "7.05 kB", "12", "1 KiB", "3.5 MB", "x", "9 GiB", "1 m", "4 tib", "2 Q"].iter().map(|text| text.parse::<NumberPrefix<f64>>().map_err(|e| e.to_string())).collect::<Vec<_>>())"#,
            ),
        ],
    },
    Subject {
        name: "siphasher",
        edition: "2018",
        arguments: &[],
        imports: "use super::*; use std::{format, hash::{Hash as _, Hasher as _}};",
        functions: &[
            (
                "whole_of",
                r#"{ let s = sip::SipHasher13::new_with_keys(1, 2); let t = sip::SipHasher24::new_with_key(b"0123456789abcdef"); format!("{:x} {:x} {:x} {:?}", s.hash(b"some bytes that are more than eight"), t.hash(b"short"), sip::SipHasher::new().hash(b""), t.keys()) }"#,
            ),
            (
                "parts_of",
                r#"{ let mut s = sip::SipHasher13::new(); for n in 0..20_u8 { s.write_u8(n); s.write(&[n; 5]); s.write_u64(7); } ("text", 3_u32, [1_u16, 2]).hash(&mut s); format!("{:x}", s.finish()) }"#,
            ),
            (
                "long_of",
                r#"{ use sip128::Hasher128 as _; let mut s = sip128::SipHasher24::new_with_keys(3, 4); s.write(b"what is hashed to 128 bits"); s.write_usize(9); s.write_u32(1); let h = s.finish128(); format!("{:x} {:x} {:?} {:x}", h.h1, h.h2, h.as_bytes(), h.as_u128()) }"#,
            ),
        ],
    },
];
