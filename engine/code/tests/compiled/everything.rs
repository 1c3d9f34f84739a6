//! A crate in which something is instantiated by each way that a closure follows, and by that way only.

use std::collections::BTreeMap;
use std::fmt::{self, Display};
use std::sync::Mutex;

mod shapes {
    pub trait Shape {
        fn area(&self) -> u32;
        fn doubled(&self) -> u32 {
            self.area() * 2
        }
    }
    pub struct Square(pub u32);
    impl Shape for Square {
        fn area(&self) -> u32 {
            self.0 * side()
        }
    }
    fn side() -> u32 {
        7
    }
    pub struct Hidden(pub u32);
    impl Shape for Hidden {
        fn area(&self) -> u32 {
            super::only_by_object(self.0)
        }
    }
    /// Nobody else names the type.
    pub fn any(number: u32) -> Box<dyn Shape> {
        if number > 3 { Box::new(Square(number)) } else { Box::new(Hidden(number)) }
    }
}

use shapes::{Shape as Form, *};

fn only_by_object(number: u32) -> u32 {
    number + 1
}

// Methods by name, defaults, objects, a glob, a rename.
pub fn methods() -> u32 {
    any(4).doubled() + Form::area(&Square(3)) + Square::side_of(2)
}

impl Square {
    fn side_of(number: u32) -> u32 {
        number
    }
}

// Calls without a name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Money(u32);

impl std::ops::Add for Money {
    type Output = Money;
    fn add(self, other: Money) -> Money {
        Money(added(self.0, other.0))
    }
}

fn added(a: u32, b: u32) -> u32 {
    a + b
}

impl Drop for Money {
    fn drop(&mut self) {
        dropped();
    }
}

fn dropped() {}

impl Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(unit())
    }
}

fn unit() -> &'static str {
    "€"
}

pub struct Wrong(String);

impl From<std::num::ParseIntError> for Wrong {
    fn from(error: std::num::ParseIntError) -> Self {
        Wrong(told(&error))
    }
}

fn told(error: &std::num::ParseIntError) -> String {
    error.to_string()
}

impl std::str::FromStr for Money {
    type Err = Wrong;
    fn from_str(text: &str) -> Result<Self, Wrong> {
        Ok(Money(text.parse()?))
    }
}

impl std::iter::Sum for Money {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Money(0), |a, b| a + b)
    }
}

pub struct Purse(Vec<Money>);

impl std::ops::Deref for Purse {
    type Target = [Money];
    fn deref(&self) -> &[Money] {
        &self.0
    }
}

impl IntoIterator for Purse {
    type Item = Money;
    type IntoIter = Coins;
    fn into_iter(self) -> Coins {
        Coins(self.0)
    }
}

pub struct Coins(Vec<Money>);

impl Iterator for Coins {
    type Item = Money;
    fn next(&mut self) -> Option<Money> {
        self.0.pop()
    }
}

impl FromIterator<Money> for Purse {
    fn from_iter<I: IntoIterator<Item = Money>>(all: I) -> Self {
        Purse(all.into_iter().collect())
    }
}

pub fn calls_without_a_name(text: &str) -> Result<String, Wrong> {
    let money: Money = text.parse()?;
    let mut purse: Purse = [money.clone(), Money::default()].into_iter().collect();
    purse.0.sort();
    let first = purse.first().map(|money| format!("{money:?}")).unwrap_or_default();
    for coin in purse {
        if coin == money {
            return Ok(format!("{} {first}", [coin].into_iter().sum::<Money>()));
        }
    }
    Ok(first)
}

// An impl for a foreign type, and one that only inference chooses.
impl From<Money> for u64 {
    fn from(money: Money) -> u64 {
        u64::from(added(money.0, 0))
    }
}

trait Total {
    fn total(&self) -> u32;
}

struct Unnamed;

impl Total for Vec<Unnamed> {
    fn total(&self) -> u32 {
        counted(self.len())
    }
}

fn counted(number: usize) -> u32 {
    number as u32
}

pub fn inferred() -> u64 {
    let nothing = Vec::new();
    let money: u64 = Money(1).into();
    u64::from(nothing.total()) + money
}

// Statics, and what they hold.
static STEPS: [fn(u32) -> u32; 2] = [first_step, second_step];
static STATE: Mutex<BTreeMap<u32, fn() -> u32>> = Mutex::new(BTreeMap::new());
const STEP: fn(u32) -> u32 = third_step;

fn first_step(number: u32) -> u32 {
    number
}

fn second_step(number: u32) -> u32 {
    first_step(number) + 1
}

fn third_step(number: u32) -> u32 {
    number + 3
}

pub fn stepped() -> u32 {
    let more = |number: u32| STEPS[1](number) + STEP(number);
    STATE.lock().map_or(0, |state| state.len() as u32) + more(3)
}

// Macros: what they write, what they call, items that they make.
macro_rules! made {
    ($name:ident, $number:expr) => {
        fn $name() -> u32 {
            from_a_macro($number)
        }
    };
}

made!(by_a_macro, 4);

fn from_a_macro(number: u32) -> u32 {
    number
}

macro_rules! twice {
    ($value:expr) => {
        called_in_a_macro($value) * 2
    };
}

fn called_in_a_macro(number: u32) -> u32 {
    number
}

const LIMIT: fn() -> u32 = limited;

fn limited() -> u32 {
    9
}

pub fn macros() -> String {
    let limit = LIMIT();
    format!("{} {limit} {}", twice!(by_a_macro()), vec![inner()].len())
}

// Items inside of a function.
fn inner() -> u32 {
    struct Local(u32);
    impl Drop for Local {
        fn drop(&mut self) {
            dropped_inside();
        }
    }
    Local(1).0
}

fn dropped_inside() {}

// What parameters are filled with.
struct Boxed<T>(T);

impl<T: Form> Boxed<T> {
    fn measured(&self) -> u32 {
        self.0.area() + Self::CONSTANT
    }
    const CONSTANT: u32 = 3;
}

fn generic<T: Into<u64>>(value: T) -> u64 {
    value.into()
}

pub fn parameters() -> u64 {
    generic(Money(4)) + u64::from(Boxed(Square(1)).measured()) + applied(from_a_macro)
}

fn applied(function: impl Fn(u32) -> u32) -> u64 {
    u64::from(function(2))
}

// `Self::`, functions that a trait gives to a foreign type, names that a macro takes, imports inside of a function.
mod makers {
    pub trait Make {
        fn made() -> Self;
    }
    impl Make for u32 {
        fn made() -> u32 {
            super::made_for_a_number()
        }
    }
    pub struct Maker;
    impl Maker {
        pub fn start() -> u32 {
            Self::step()
        }
        fn step() -> u32 {
            5
        }
        pub fn by_macro(&self) -> u32 {
            6
        }
    }
    pub fn imported() -> u32 {
        8
    }
    pub mod deep {
        pub fn exported_again() -> u32 {
            2
        }
    }
    pub use deep::exported_again as known;
}

fn made_for_a_number() -> u32 {
    1
}

macro_rules! call {
    ($value:expr, $method:ident) => {
        $value.$method()
    };
}

pub fn paths() -> u32 {
    use makers::{Make, Maker, imported};
    u32::made() + Maker::start() + call!(Maker, by_macro) + imported() + makers::known()
}

// Names in texts, statics of threads, functions that the linker finds.
static SHOWN: u32 = 3;

thread_local! {
    static CELL: std::cell::Cell<u32> = std::cell::Cell::new(initial());
}

fn initial() -> u32 {
    4
}

unsafe extern "C" {
    fn everything_is_linked() -> u32;
}

#[unsafe(export_name = "everything_is_linked")]
extern "C" fn linked() -> u32 {
    11
}

pub fn elsewhere() -> String {
    // SAFETY: it is defined above, of that type.
    let number = unsafe { everything_is_linked() };
    format!("{SHOWN} {number} {}", CELL.get())
}

// Impls for whatever has a trait, associated types, futures.
trait Named {
    fn named(&self) -> u32;
}

impl<T: Form> Named for T {
    fn named(&self) -> u32 {
        blanket() + self.area()
    }
}

fn blanket() -> u32 {
    1
}

trait Leads {
    type To: Default + Ends;
}

trait Ends {
    fn end(&self) -> u32;
}

struct Start;

impl Leads for Start {
    type To = End;
}

#[derive(Default)]
struct End;

impl Ends for End {
    fn end(&self) -> u32 {
        12
    }
}

fn led<T: Leads>(_: T) -> u32 {
    T::To::default().end()
}

struct Soon(u32);

impl Future for Soon {
    type Output = u32;
    fn poll(self: std::pin::Pin<&mut Self>, _: &mut std::task::Context<'_>) -> std::task::Poll<u32> {
        std::task::Poll::Ready(arrived(self.0))
    }
}

fn arrived(number: u32) -> u32 {
    number
}

async fn waits() -> u32 {
    Soon(2).await
}

pub fn further() -> u32 {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    let waited = std::pin::pin!(waits()).poll(&mut context).is_ready();
    Square(2).named() + led(Start) + u32::from(waited)
}

// What only a field names.
pub struct Outer(Part);

struct Part(u32);

pub fn parts() -> bool {
    let nothing: Option<Outer> = None;
    nothing.is_some()
}
