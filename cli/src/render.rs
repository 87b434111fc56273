//! Answers for people: lines and tables instead of JSON.

use serde_json::Value;

use crate::arguments::{Bounded, Command, Counter, Doc, List, Log, Map, Register, Set};

/// How the values of one command are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Render {
    Json,
    /// JSON over several lines.
    Pretty,
    /// One field of the value.
    Field(&'static str),
    /// One line per item, its fields apart by tabs.
    Table(&'static [&'static str]),
    /// One line per element.
    List,
    Status,
    /// What was saved.
    Saved,
    /// What has changed, and where to go on.
    Feed,
    /// What was undone, or done again, in this word.
    Undone(&'static str),
}

/// How to show the answers of a command.
pub(crate) fn of(command: &Command, json: bool) -> Render {
    if json {
        return Render::Json;
    }
    match command {
        Command::New { .. } | Command::Ticket { .. } => Render::Field("ticket"),
        Command::Init => Render::Field("id"),
        Command::Join { .. } | Command::Leave { .. } | Command::Forget { .. } => Render::Field("name"),
        Command::Spaces => Render::Table(&["name", "rows", "id"]),
        Command::Ls { .. } => Render::Table(&["path", "kind", "rows"]),
        Command::Counter(Counter::Add { .. } | Counter::Get { .. }) => Render::Field("value"),
        Command::Bounded(Bounded::Rights { .. }) => Render::Table(&["replica", "rights", "own"]),
        Command::Bounded(_) => Render::Field("value"),
        Command::Set(Set::Ls { .. }) => Render::List,
        Command::Set(_) => Render::Field("present"),
        Command::Map(Map::Conflicts { .. }) | Command::Register(Register::Conflicts { .. }) => Render::List,
        Command::Map(Map::Ls { .. }) => Render::Table(&["key", "value"]),
        Command::Map(Map::Rm { .. }) => Render::Field("key"),
        Command::Map(_) | Command::Register(Register::Put { .. } | Register::Get { .. }) => {
            Render::Field("value")
        }
        Command::List(List::Ls { .. }) => Render::Table(&["value"]),
        Command::List(_) => Render::Field("value"),
        Command::Log(Log::Append { .. }) => Render::Field("place"),
        Command::Log(Log::Ls { .. }) => Render::Table(&["time", "author", "value"]),
        Command::Log(Log::Trim { .. }) => Render::Field("removed"),
        Command::Doc(Doc::History { .. }) => Render::Table(&["time", "author", "operations", "version"]),
        Command::Doc(Doc::Rm { .. }) => Render::Field("path"),
        Command::Doc(Doc::Compact { .. }) => Render::Field("compacted"),
        Command::Doc(_) => Render::Field("value"),
        Command::Import { .. } => Render::Field("rows"),
        Command::Batch { .. } => Render::Field("acts"),
        Command::Token { .. } => Render::Field("token"),
        Command::ForgetOnce { .. } => Render::Field("forgotten"),
        Command::Peers => Render::Table(&["space", "peer", "addr", "connected", "in_sync", "behind"]),
        Command::Verify { .. } => Render::Table(&["name", "id", "sound", "error"]),
        Command::Backup { .. } => Render::Saved,
        Command::Salvage { .. } => Render::Field("written"),
        Command::Lost { .. } => Render::Table(&["path", "kind", "key", "value", "author"]),
        Command::Restore { .. } => Render::Table(&["name", "rows", "id"]),
        Command::Here { .. } => Render::Table(&["value", "seconds", "device"]),
        Command::Undo { .. } => Render::Undone("undone"),
        Command::Redo { .. } => Render::Undone("redone"),
        Command::Status => Render::Status,
        Command::Query(_) => Render::Table(&["key", "value"]),
        Command::Feed { .. } => Render::Feed,
        Command::Export { .. } | Command::Sync { .. } => Render::Pretty,
        Command::Watch { .. } | Command::Serve(_) | Command::Demo(_) => Render::Json,
    }
}

impl Render {
    /// Prints a value. Whether anybody still reads: who closed the pipe has read what was wanted.
    pub(crate) fn show(self, value: &Value) -> bool {
        let text = self.text(value);
        text.is_empty()
            || std::io::Write::write_all(&mut std::io::stdout(), format!("{text}\n").as_bytes()).is_ok()
    }

    fn text(self, value: &Value) -> String {
        // What --token adds to the answer of any command.
        if let (Some(token), Self::Field(_) | Self::List | Self::Table(_) | Self::Undone(_)) =
            (value.get("token"), self)
        {
            return plain(token);
        }
        match self {
            Self::Json => value.to_string(),
            Self::Pretty => format!("{value:#}"),
            Self::Field(field) => data(&value[field]),
            Self::List => lines(value, data),
            Self::Table(fields) => lines(value, |item| {
                let cell =
                    |field: &&str| if *field == "value" { data(&item[*field]) } else { plain(&item[*field]) };
                let cells: Vec<String> = fields.iter().map(cell).collect();
                cells.join("\t").trim_end().to_owned()
            }),
            Self::Status => status(value),
            Self::Saved => saved(value),
            Self::Feed => feed(value),
            Self::Undone(word) => undone(value, word),
        }
    }
}

/// How far a long command has come, for whoever looks at a terminal; where the next line goes over it.
pub(crate) fn progress(percent: &Value) {
    let stderr = std::io::stderr();
    if std::io::IsTerminal::is_terminal(&stderr) {
        let end = if percent == 100 { "\n" } else { "" };
        let _ = std::io::Write::write_all(&mut &stderr, format!("\rrejoin: {percent} %{end}").as_bytes());
    }
}

/// One line a change: what was there, and what is.
fn feed(value: &Value) -> String {
    let side = |side: &Value| if side.is_null() { "-".to_owned() } else { data(&side["value"]) };
    let change = |change: &Value| {
        let (path, key) = (plain(&change["path"]), plain(&change["key"]));
        format!("{path}\t{key}\t{}\t{}", side(&change["before"]), side(&change["after"]))
    };
    let cursor = if value["cursor"].is_null() { "off".to_owned() } else { plain(&value["cursor"]) };
    format!("{}\ncursor\t{cursor}", lines(&value["changes"], change)).trim_start().to_owned()
}

fn saved(value: &Value) -> String {
    let file = plain(&value["file"]);
    let rows = lines(&value["spaces"], |space| {
        let rows = count(space["rows"].as_u64().unwrap_or(0), "row");
        format!("{}  {rows}  root {}", plain(&space["name"]), plain(&space["root"]))
    });
    format!("{rows}\n{file}  {} bytes", value["bytes"])
}

/// How many rows are as they were, and how many are not, and why.
fn undone(value: &Value, word: &str) -> String {
    let number = |field: &str| value[field].as_u64().unwrap_or(0);
    match value["done"].as_bool() {
        None if number("keep") == 0 => "no changes are kept to be undone".into(),
        None => format!("kept to be undone: the last {} of this device", count(number("keep"), "change")),
        Some(false) => format!("there is nothing to be {word}"),
        Some(true) => {
            let mut text = format!("{} {word}", count(number("rows"), "row"));
            if number("left") > 0 {
                text.push_str(&format!("; {} left alone: somebody has written there since", number("left")));
            }
            if number("fixed") > 0 {
                text.push_str(&format!("; {} cannot be {word}", number("fixed")));
            }
            text
        }
    }
}

fn lines(value: &Value, line: impl Fn(&Value) -> String) -> String {
    let items = value.as_array().map(Vec::as_slice).unwrap_or_default();
    items.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// Strings without quotes, JSON otherwise.
fn data(value: &Value) -> String {
    if value.is_null() { "null".into() } else { plain(value) }
}

/// Strings without quotes, nothing for null, JSON otherwise.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

/// One line a space: count, direction, peer, since when.
fn status(value: &Value) -> String {
    let is_running = value["addresses"].as_array().is_some_and(|addresses| !addresses.is_empty());
    let line = |space: &Value| {
        let number = |field: &str| space[field].as_u64().unwrap_or(0);
        let name = plain(&space["name"]);
        let waiting = match (number("unsynced"), number("rows")) {
            (0, 0) => "nothing in it yet".to_owned(),
            (0, rows) => format!("{}, all of it on another device too", count(rows, "row")),
            (unsynced, rows) => {
                format!("{}, {} only on this device", count(rows, "row"), count(unsynced, "change"))
            }
        };
        let peers: Vec<String> =
            space["peers"].as_array().map(Vec::as_slice).unwrap_or_default().iter().map(peer).collect();
        let peers = if space["left"] == true {
            "left: not synced until it is joined again with a ticket".to_owned()
        } else if peers.is_empty() {
            let run = if is_running { "" } else { "run `rejoin serve`, and " };
            format!("nobody met yet: {run}give others the ticket")
        } else {
            peers.join("; ")
        };
        format!("{name}  {waiting}; {peers}")
    };
    let mut text = lines(&value["spaces"], line);
    for space in value["unusable"].as_array().into_iter().flatten() {
        text.push_str(&format!("\n{}  cannot be used: {}", plain(&space["id"]), plain(&space["error"])));
    }
    for file in value["quarantined"].as_array().into_iter().flatten() {
        let file = plain(file);
        text.push_str(&format!(
            "\nset aside as damaged: {file}; `rejoin salvage` writes again what only it holds"
        ));
    }
    if text.is_empty() {
        "no space yet: begin one with `rejoin new NAME`, or `rejoin join TICKET`".into()
    } else {
        text
    }
}

fn count(n: u64, of: &str) -> String {
    if n == 1 { format!("1 {of}") } else { format!("{n} {of}s") }
}

fn peer(peer: &Value) -> String {
    let id = plain(&peer["peer"]);
    let short = &id[id.len().saturating_sub(8)..];
    let behind = count(peer["behind"].as_u64().unwrap_or(0), "change");
    let state = match (peer["connected"] == true, peer["in_sync"] == true) {
        (true, true) => "in sync".to_owned(),
        (true, false) => format!("connected, {behind} behind"),
        (false, true) => "was in sync, away now".to_owned(),
        (false, false) => format!("away, {behind} behind"),
    };
    match peer["proven_at"].as_u64() {
        Some(at) => format!("{short} {state} (proven {} s ago)", now_ms().saturating_sub(at) / 1000),
        None => format!("{short} {state}"),
    }
}

fn now_ms() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn tables_and_lists_are_plain_lines() {
        let map = json!([{ "key": "a", "value": { "n": 1 } }, { "key": "b", "value": "two" }]);
        assert_eq!(Render::Table(&["key", "value"]).text(&map), "a\t{\"n\":1}\nb\ttwo");
        assert_eq!(Render::List.text(&json!(["x", 2])), "x\n2");
        assert_eq!(Render::Field("value").text(&json!({ "value": "x" })), "x");
    }

    #[test]
    fn an_undo_says_what_it_did_not_take_back() {
        let text = |value| Render::Undone("undone").text(&value);
        let all = json!({ "keep": 9, "undo": 3, "redo": 1, "done": true, "rows": 2, "left": 1, "fixed": 4 });
        assert_eq!(
            text(all),
            "2 rows undone; 1 left alone: somebody has written there since; 4 cannot be undone"
        );
        assert_eq!(text(json!({ "keep": 1 })), "kept to be undone: the last 1 change of this device");
        assert_eq!(text(json!({ "keep": 0 })), "no changes are kept to be undone");
    }

    #[test]
    fn status_says_how_many_and_what_to_do() {
        let empty = json!({ "spaces": [], "unusable": [] });
        assert!(Render::Status.text(&empty).contains("rejoin new"));
        let space = json!({ "spaces": [{ "name": "board", "rows": 3, "unsynced": 2, "peers": [
            { "peer": "12D3KooWabcdefgh", "connected": true, "in_sync": false, "behind": 2, "proven_at": null }
        ] }], "unusable": [] });
        assert_eq!(
            Render::Status.text(&space),
            "board  3 rows, 2 changes only on this device; abcdefgh connected, 2 changes behind"
        );
    }
}
