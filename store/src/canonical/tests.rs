//! What must be equal, and what must not.

use std::collections::{BTreeMap, HashMap, HashSet};

use proptest::prelude::*;
use serde::ser::{SerializeSeq, SerializeTuple};

use super::encoder::tag;
use super::*;

fn d<T: Serialize + ?Sized>(value: &T) -> ValueDigest {
    digest(value).unwrap()
}

/// The canonical bytes, if they are few.
fn short<T: Serialize + ?Sized>(value: &T) -> Option<Vec<u8>> {
    match encode(value, &mut [0; INLINE]).unwrap() {
        Encoded::Short(bytes) => Some(bytes.to_vec()),
        Encoded::Long(_) => None,
    }
}

#[derive(Serialize)]
struct Point {
    x: u32,
    y: u32,
}

mod elsewhere {
    #[derive(serde::Serialize)]
    pub(super) struct Point {
        pub(super) x: u32,
        pub(super) y: u32,
    }
}

#[derive(Serialize)]
struct Spot {
    x: u32,
    y: u32,
}

#[derive(Serialize)]
struct Unit;

#[derive(Serialize)]
struct Meters(u32);

#[derive(Serialize)]
enum Shape {
    Nothing,
    One(u32),
    Two(u32, u32),
    Named { x: u32 },
}

#[derive(Serialize)]
#[serde(rename = "$fleche::Ignored")]
struct Ignored<T>(T);

#[derive(Serialize)]
#[serde(rename = "$fleche::Ordered")]
struct Ordered<T>(T);

#[test]
fn integers_count_by_value_whatever_their_width() {
    assert_eq!(d(&7u8), d(&7i128));
    assert_eq!(d(&-7i8), d(&-7i64));
    assert_eq!(d(&u64::MAX), d(&u128::from(u64::MAX)));
    assert_ne!(d(&7u8), d(&-7i8));
    assert_ne!(d(&255u8), d(&-1i8));
    assert_ne!(d(&u128::MAX), d(&(u128::MAX - 1)));
    assert_ne!(d(&i128::MIN), d(&(i128::MIN.unsigned_abs())));
    assert_eq!(d(&[1u8, 2, 3]), d(&[1i64, 2, 3]));
    assert_eq!(d(&vec![1u8; 5000]), d(&vec![1u64; 5000]));
    assert_eq!(d(&vec![-1i8, 100]), d(&vec![-1i128, 100]));
}

#[test]
fn floats_differ_by_bits_except_nans() {
    assert_ne!(d(&0.0f64), d(&-0.0f64));
    assert_eq!(d(&f64::NAN), d(&f64::from_bits(f64::NAN.to_bits() | 1 << 63 | 5)));
    assert_eq!(d(&[f32::NAN]), d(&[f32::from_bits(f32::NAN.to_bits() | 3)]));
    assert_ne!(d(&1.0f64), d(&1u8));
    assert_ne!(d(&1.0f64), d(&1.0f32));
}

#[test]
fn structs_count_by_name_and_field_names() {
    assert_eq!(d(&Point { x: 1, y: 2 }), d(&elsewhere::Point { x: 1, y: 2 }));
    assert_ne!(d(&Point { x: 1, y: 2 }), d(&Spot { x: 1, y: 2 }));
    assert_ne!(d(&Point { x: 1, y: 2 }), d(&Point { x: 2, y: 1 }));
    assert_ne!(d(&Meters(1)), d(&1u32));
}

#[test]
fn kinds_of_values_differ() {
    let digests = [
        d(&()),
        d(&Unit),
        d(&None::<u32>),
        d(&Some(1u32)),
        d(&Some(())),
        d(&1u32),
        d(&true),
        d(&'1'),
        d("1"),
        d(&vec![1u32]),
        d(&(1u32,)),
        d(&[1u32; 2]),
        d(&vec![1u32; 2]),
        d(&Vec::<u32>::new()),
        d(""),
        d(&BTreeMap::<u32, u32>::new()),
        d(&HashMap::<u32, u32>::new()),
        d(&HashSet::<u32>::new()),
        d(&Shape::Nothing),
        d(&Shape::One(1)),
        d(&Shape::Two(1, 1)),
        d(&Shape::Named { x: 1 }),
        d(&Meters(1)),
        d(&Ignored(1)),
    ];
    let distinct: HashSet<_> = digests.iter().collect();
    assert_eq!(distinct.len(), digests.len());
}

#[test]
fn neighbours_do_not_run_together() {
    assert_ne!(d(&("ab", "c")), d(&("a", "bc")));
    assert_ne!(d(&vec![vec![1u8], vec![2]]), d(&vec![vec![1u8, 2], vec![]]));
    assert_ne!(d(&(vec![1u8], 2u8)), d(&(vec![1u8, 2u8],)));
    assert_ne!(d(&vec![Some(1u8), None]), d(&vec![None, Some(1u8)]));
}

#[test]
fn hash_maps_and_sets_have_no_order() {
    let forward: HashMap<u32, String> = (0..100).map(|i| (i, i.to_string())).collect();
    let backward: HashMap<u32, String> = (0..100).rev().map(|i| (i, i.to_string())).collect();
    assert_eq!(d(&forward), d(&backward));
    assert_eq!(d(&vec![Some(&forward)]), d(&vec![Some(&backward)]));
    let mut other = forward.clone();
    other.insert(3, "4".into());
    assert_ne!(d(&forward), d(&other));
    let set: HashSet<u32> = (0..100).collect();
    assert_eq!(d(&set), d(&(0..100).rev().collect::<HashSet<u32>>()));
    assert_ne!(d(&set), d(&(0..101).collect::<HashSet<u32>>()));
    // A key's value must not drift to its neighbour.
    let straight = HashMap::from([(1u8, 2u8), (3, 4)]);
    let crossed = HashMap::from([(1u8, 4u8), (3, 2)]);
    assert_ne!(d(&straight), d(&crossed));
}

#[test]
fn ordered_keeps_the_order_of_what_is_directly_inside() {
    let maps: HashSet<_> = (0..20)
        .map(|_| {
            let map: HashMap<u32, u32> = (0..50).map(|i| (i, i)).collect();
            d(&Ordered(map))
        })
        .collect();
    assert!(maps.len() > 1, "twenty seeds, one order");
    // What lies deeper is unordered again.
    let inner = |range: Vec<u32>| Ordered(vec![range.into_iter().collect::<HashSet<u32>>()]);
    assert_eq!(d(&inner((0..50).collect())), d(&inner((0..50).rev().collect())));
}

#[test]
fn ignored_content_does_not_count() {
    assert_eq!(d(&(1u8, Ignored("a"))), d(&(1u8, Ignored(vec![2]))));
    assert_ne!(d(&(1u8, Ignored("a"))), d(&(2u8, Ignored("a"))));
}

#[test]
fn slices_and_arrays_pack_alike_but_differ() {
    assert_eq!(d(&[1u8, 2][..]), d(&vec![1u8, 2]));
    assert_ne!(d(&[1u8, 2]), d(&vec![1u8, 2]));
}

#[test]
fn runs_end_by_value_not_by_how_the_elements_came() {
    struct Slowly<'a>(&'a [i64], bool);
    impl Serialize for Slowly<'_> {
        fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
            if self.1 {
                let mut seq = s.serialize_seq(None)?;
                self.0.iter().try_for_each(|i| seq.serialize_element(i))?;
                seq.end()
            } else {
                s.collect_seq(self.0)
            }
        }
    }
    let values: Vec<i64> = (0..3000).map(|i| if i % 700 == 699 { -i } else { i }).collect();
    assert_eq!(d(&Slowly(&values, true)), d(&Slowly(&values, false)));
}

#[test]
fn short_encodings_stay_bytes_and_long_ones_become_a_digest() {
    assert_eq!(d("abc"), ValueDigest::new(Digest::of(&short("abc").unwrap())));
    assert_eq!(short(&"x".repeat(1000)), None);
    // 128 bytes exactly: tag, two length bytes would make 131, so 126 characters are the longest text kept.
    assert_eq!(short(&"x".repeat(126)).map(|bytes| bytes.len()), Some(128));
    assert_eq!(short(&"x".repeat(127)), None);
    assert_eq!(d(&"x".repeat(127)), {
        let mut bytes = vec![tag::STR, 127];
        bytes.extend_from_slice("x".repeat(127).as_bytes());
        ValueDigest::new(Digest::of(&bytes))
    });
}

#[test]
fn the_encoding_never_changes_by_accident() {
    // These bytes are in users' stores: a change here needs another format version.
    assert_eq!(short(&(1u8, -1i8, "a", Some(false))).unwrap(), [12, 44, 2, 0, 1, 255, 5, 1, 97, 8, 2, 0]);
    assert_eq!(d(&Point { x: 1, y: 300 }).short(), d(&elsewhere::Point { x: 1, y: 300 }).short());
    assert_eq!(
        short(&Point { x: 1, y: 300 }).unwrap(),
        [19, 5, 80, 111, 105, 110, 116, 24, 1, 120, 32, 1, 24, 1, 121, 33, 44, 1, 0]
    );
}

#[test]
fn errors_of_the_value_come_out() {
    use std::os::unix::ffi::OsStrExt;
    let path = std::path::Path::new(std::ffi::OsStr::from_bytes(b"\xff"));
    assert!(matches!(digest(path), Err(Error::Custom(_))));
}

proptest! {
    #[test]
    fn equal_sequences_and_only_those_are_equal(
        a in prop::collection::vec(prop::num::i64::ANY.prop_map(|v| v >> (v & 63)), 0..40),
        b in prop::collection::vec(prop::num::i64::ANY.prop_map(|v| v >> (v & 63)), 0..40),
    ) {
        prop_assert_eq!(d(&a) == d(&b), a == b);
        let wide: Vec<i128> = a.iter().map(|v| i128::from(*v)).collect();
        prop_assert_eq!(d(&wide), d(&a));
    }

    #[test]
    fn big_and_negative_integers_mix(a in prop::collection::vec(any::<i128>().prop_map(|v| v >> (v & 127)), 0..20), at in 0usize..20) {
        let mut b = a.clone();
        if let Some(v) = b.get_mut(at) { *v = v.wrapping_add(1); }
        prop_assert_eq!(d(&a) == d(&b), a == b);
    }

    #[test]
    fn nested_texts_do_not_collide(
        a in prop::collection::vec(prop::collection::vec("[ab]{0,2}", 0..3), 0..3),
        b in prop::collection::vec(prop::collection::vec("[ab]{0,2}", 0..3), 0..3),
    ) {
        prop_assert_eq!(d(&a) == d(&b), a == b);
    }
}

#[test]
fn tuples_of_another_length_differ() {
    struct Short;
    impl Serialize for Short {
        fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
            let mut tuple = s.serialize_tuple(2)?;
            tuple.serialize_element(&1u8)?;
            tuple.end()
        }
    }
    assert_eq!(d(&Short), d(&(1u8,)));
    assert_ne!(d(&Short), d(&(1u8, 1u8)));
}
