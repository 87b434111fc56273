//! Answers without what differs from run to run: ids, roots, times, ports and amounts of traffic become placeholders.

use serde_json::Value;

/// Fields whose numbers depend on the time or on the network.
const NUMBERS: [(&str, &str); 9] = [
    ("time", "<ms>"),
    ("proven_at", "<ms>"),
    ("made_at", "<ms>"),
    ("bytes", "<bytes>"),
    ("round_trips", "<n>"),
    ("proof_round_trips", "<n>"),
    ("gossip_in", "<n>"),
    ("gossip_out", "<n>"),
    ("gossip_duplicates", "<n>"),
];

/// The same value with placeholders.
pub(crate) fn json(value: &Value) -> Value {
    match value {
        Value::String(text) => Value::String(words(text)),
        Value::Array(items) => items.iter().map(json).collect(),
        Value::Object(fields) => {
            fields.iter().map(|(name, value)| (name.clone(), field(name, value))).collect()
        }
        other => other.clone(),
    }
}

fn field(name: &str, value: &Value) -> Value {
    let number = NUMBERS.iter().find(|(known, _)| *known == name);
    match (number, value) {
        (Some((_, placeholder)), Value::Number(_)) => (*placeholder).into(),
        (_, Value::String(_)) if name == "file" => "<file>".into(),
        // A document that is saved whole, as the hash of a change says by chance, is one change more.
        (_, Value::Number(changes)) if name == "unsynced" && changes.as_u64() > Some(0) => "<n>".into(),
        // None without a network, several with one.
        (_, Value::Array(addresses)) if name == "addresses" => {
            assert!(addresses.iter().all(|address| json(address) == "<addr>"), "{value}");
            "<addrs>".into()
        }
        _ => json(value),
    }
}

/// The same text with placeholders for whole words.
pub(crate) fn words(text: &str) -> String {
    let is_word = |letter: char| letter.is_ascii_alphanumeric() || ":/.-_".contains(letter);
    let mut out = String::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let end = rest.find(|letter| is_word(letter) != is_word(first)).unwrap_or(rest.len());
        out.push_str(placeholder(&rest[..end]).unwrap_or(&rest[..end]));
        rest = &rest[end..];
    }
    out
}

fn placeholder(word: &str) -> Option<&'static str> {
    let is_hex = |word: &str| word.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
    let is_uuid = word.split('-').map(str::len).eq([8, 4, 4, 4, 12]) && is_hex(&word.replace('-', ""));
    match word {
        _ if word.len() == 64 && is_hex(word) => Some("<hex64>"),
        _ if word.len() == 48 && is_hex(word) => Some("<hex48>"),
        // Milliseconds since 1970, from 2020 to 2033.
        _ if word.len() == 13 && word.starts_with('1') && word.bytes().all(|byte| byte.is_ascii_digit()) => {
            Some("<ms>")
        }
        _ if is_uuid => Some("<uuid>"),
        _ if word
            .split_once(':')
            .is_some_and(|(id, seq)| id.len() == 32 && is_hex(id) && !seq.is_empty()) =>
        {
            Some("<token>")
        }
        _ if word.split_once('.').is_some_and(|(number, tag)| {
            !number.is_empty()
                && number.bytes().all(|byte| byte.is_ascii_digit())
                && tag.len() == 16
                && is_hex(tag)
        }) =>
        {
            Some("<cursor>")
        }
        _ if word.starts_with("12D3KooW") => Some("<peer>"),
        _ if word.starts_with("/ip4/127.0.0.1/") => Some("<addr>"),
        _ if word.starts_with("rejoin:") && word.len() > 40 => Some("<ticket>"),
        _ => None,
    }
}

#[test]
fn what_differs_is_taken_out_and_the_rest_stays() {
    let hex = "0123456789abcdef".repeat(4);
    let value = serde_json::json!({ "id": hex, "time": 7, "rows": 7, "list": ["/ip4/127.0.0.1/tcp/9/p2p/12D3KooWx", "a b"] });
    let normal = serde_json::json!({ "id": "<hex64>", "time": "<ms>", "rows": 7, "list": ["<addr>", "a b"] });
    assert_eq!(json(&value), normal);
    assert_eq!(words(&format!("board\t{hex}\ttrue")), "board\t<hex64>\ttrue");
    assert_eq!(words(&format!("{}:17", &hex[..32])), "<token>");
    assert_eq!(words("1c6be935-a705-834b-87f0-2b308496e8ae é"), "<uuid> é");
    assert_eq!(words(&format!("1795817931288\t{}", &hex[..48])), "<ms>\t<hex48>");
    // A number where text belongs, or the other way round, is seen.
    assert_eq!(json(&serde_json::json!({ "time": "soon" })), serde_json::json!({ "time": "soon" }));
}
