//! Ways to spoil a file: byte by byte, or value by value where it is JSON.

use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, any, prop_oneof};
use proptest::sample::Index;
use serde_json::{Map, Value, json};

/// A change of bytes.
#[derive(Debug, Clone)]
pub enum Edit {
    Set(Index, u8),
    Cut(Index),
    Insert(Index, Vec<u8>),
    Remove(Index, usize),
    Copy(Index, Index, usize),
    /// Four bytes that a header may take for a length, in either order.
    Length(Index, u32, bool),
}

pub fn edits() -> impl Strategy<Value = Vec<Edit>> {
    let lengths = prop_oneof![
        any::<u32>(),
        Just(u32::MAX),
        Just(0),
        Just(i32::MAX as u32),
        Just(0x8000_0000),
        Just(60_000),
        Just(65_535)
    ];
    let edit = prop_oneof![
        6 => (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Edit::Set(at, byte)),
        1 => any::<Index>().prop_map(Edit::Cut),
        2 => (any::<Index>(), vec(any::<u8>(), 1..16)).prop_map(|(at, bytes)| Edit::Insert(at, bytes)),
        2 => (any::<Index>(), 1_usize..64).prop_map(|(at, count)| Edit::Remove(at, count)),
        1 => (any::<Index>(), any::<Index>(), 1_usize..64).prop_map(|(from, to, count)| Edit::Copy(from, to, count)),
        3 => (any::<Index>(), lengths, any::<bool>()).prop_map(|(at, value, big)| Edit::Length(at, value, big)),
    ];
    vec(edit, 1..6)
}

/// Spoils the first `reach` bytes.
pub fn spoil(bytes: &[u8], edits: &[Edit], reach: usize) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for edit in edits {
        let reach = reach.min(bytes.len());
        if reach == 0 {
            break;
        }
        match edit {
            Edit::Set(at, byte) => bytes[at.index(reach)] = *byte,
            Edit::Cut(at) => bytes.truncate(at.index(reach)),
            Edit::Insert(at, new) => {
                let at = at.index(reach);
                bytes.splice(at..at, new.iter().copied());
            }
            Edit::Remove(at, count) => {
                let at = at.index(reach);
                bytes.drain(at..(at + count).min(reach));
            }
            Edit::Copy(from, to, count) => {
                let (from, to) = (from.index(reach), to.index(reach));
                let count = (*count).min(reach - from.max(to));
                bytes.copy_within(from..from + count, to);
            }
            Edit::Length(at, value, big) => {
                let new = if *big { value.to_be_bytes() } else { value.to_le_bytes() };
                let at = at.index(reach);
                let count = (bytes.len() - at).min(4);
                bytes[at..at + count].copy_from_slice(&new[..count]);
            }
        }
    }
    bytes
}

/// A change of a JSON tree.
#[derive(Debug, Clone)]
pub enum Graft {
    /// Puts another value in a place.
    Replace(Index, Value),
    /// Takes a place away.
    Remove(Index),
    /// Adds a field to an object, or an item to a list.
    Add(Index, String, Value),
    /// Puts a copy of one place into another.
    Copy(Index, Index),
}

pub fn grafts() -> impl Strategy<Value = Vec<Graft>> {
    let graft = prop_oneof![
        5 => (any::<Index>(), strange()).prop_map(|(at, value)| Graft::Replace(at, value)),
        2 => any::<Index>().prop_map(Graft::Remove),
        1 => (any::<Index>(), "[a-z_]{0,12}", strange()).prop_map(|(at, key, value)| Graft::Add(at, key, value)),
        1 => (any::<Index>(), any::<Index>()).prop_map(|(from, to)| Graft::Copy(from, to)),
    ];
    vec(graft, 1..5)
}

/// Values that nobody expects.
fn strange() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (0_u32..64).prop_map(|shift| Value::from(1_u64 << shift)),
        (0_i64..70).prop_map(Value::from),
        (-4_i64..0).prop_map(Value::from),
        Just(Value::from(u64::MAX)),
        any::<f64>()
            .prop_filter_map("JSON has finite numbers", |number| serde_json::Number::from_f64(number)
                .map(Value::Number)),
        prop_oneof![Just(0.0), Just(1e308), Just(-1e308), Just(1e-308), Just(0.5), Just(1.5)]
            .prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
        Just(Value::from("x".repeat(100_000))),
        Just(json!([])),
        Just(json!({})),
        Just(json!([1, 2, 3])),
        Just(Value::Array(vec![Value::from(7); 1000])),
        (1_usize..120).prop_map(|depth| (0..depth).fold(Value::Null, |inner, _| json!([inner]))),
    ]
}

pub fn graft(tree: &Value, grafts: &[Graft]) -> Value {
    let mut tree = tree.clone();
    for graft in grafts {
        let places = places(&tree);
        let at = |index: &Index| places[index.index(places.len())].clone();
        match graft {
            Graft::Replace(place, value) => put(&mut tree, &at(place), value.clone()),
            Graft::Copy(from, to) => {
                let copy = tree.pointer(&at(from)).cloned().unwrap_or_default();
                put(&mut tree, &at(to), copy);
            }
            Graft::Remove(place) => remove(&mut tree, &at(place)),
            Graft::Add(place, key, value) => match tree.pointer_mut(&at(place)) {
                Some(Value::Object(fields)) => drop(fields.insert(key.clone(), value.clone())),
                Some(Value::Array(list)) => list.push(value.clone()),
                _ => {}
            },
        }
    }
    tree
}

fn put(tree: &mut Value, place: &str, value: Value) {
    if let Some(found) = tree.pointer_mut(place) {
        *found = value;
    }
}

fn remove(tree: &mut Value, place: &str) {
    let Some((parent, last)) = place.rsplit_once('/') else { return };
    let last = last.replace("~1", "/").replace("~0", "~");
    match tree.pointer_mut(parent) {
        Some(Value::Object(fields)) => drop(fields.shift_remove(&last)),
        Some(Value::Array(list)) => match last.parse::<usize>() {
            Ok(index) if index < list.len() => drop(list.remove(index)),
            _ => {}
        },
        _ => {}
    }
}

/// JSON pointers of the tree's values, of long lists and objects the first alone.
fn places(tree: &Value) -> Vec<String> {
    const SHOWN: usize = 64;
    fn walk(value: &Value, path: &str, found: &mut Vec<String>) {
        found.push(path.to_owned());
        match value {
            Value::Object(fields) => walk_fields(fields, path, found),
            Value::Array(list) => {
                for (index, inner) in list.iter().enumerate().take(SHOWN) {
                    walk(inner, &format!("{path}/{index}"), found);
                }
            }
            _ => {}
        }
    }
    fn walk_fields(fields: &Map<String, Value>, path: &str, found: &mut Vec<String>) {
        for (key, inner) in fields.iter().take(SHOWN) {
            let key = key.replace('~', "~0").replace('/', "~1");
            walk(inner, &format!("{path}/{key}"), found);
        }
    }
    let mut found = Vec::new();
    walk(tree, "", &mut found);
    found
}

/// The edits do something, or tests with them would prove nothing.
#[test]
fn edits_and_grafts_change_what_they_are_given() {
    use proptest::strategy::ValueTree;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let tree = json!({ "a": [1, 2], "b": { "c": "d" } });
    let text = tree.to_string();
    let (mut spoilt, mut grafted) = (0, 0);
    for _ in 0..100 {
        let edits = edits().new_tree(&mut runner).expect("edits").current();
        spoilt += usize::from(spoil(text.as_bytes(), &edits, usize::MAX) != text.as_bytes());
        let grafts = grafts().new_tree(&mut runner).expect("grafts").current();
        grafted += usize::from(graft(&tree, &grafts) != tree);
    }
    assert!(spoilt > 90 && grafted > 90, "{spoilt} and {grafted} of 100");
}
