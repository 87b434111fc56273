//! What each command does to a node. The answer is JSON values, whoever asked: [`crate::render`] turns them into words.

pub(crate) mod backup;
mod bounded;
mod data;
mod documents;
mod feed;
mod import;
mod query;
mod sequences;
mod spaces;
mod status;
mod undo;

use std::io::Read;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use rejoin::{Commit, Error, Node, Restore, Salvage, Space};
use serde_json::{Value, json};

use crate::arguments::{Arguments, Command, RequestArguments};
use crate::failure::{ERROR, Failure};

/// A command as it came, and what it was parsed to.
pub(crate) struct Request {
    /// The words of the command line, for the socket of a running node.
    pub(crate) words: Vec<String>,
    pub(crate) arguments: RequestArguments,
    /// What an import or a batch works on.
    pub(crate) input: Option<String>,
}

impl Request {
    /// Reads what the command works on, here where its file is.
    pub(crate) fn read(arguments: RequestArguments) -> Result<Self, Failure> {
        // What of it has to be text was checked when it was parsed; a folder need not be, and means nothing over there.
        let words = match &arguments.command {
            Command::Backup { space, file } => {
                let space = space.iter().cloned();
                ["backup".into()].into_iter().chain(space).chain([backup::absolute(file)?]).collect()
            }
            Command::Restore { file, space, name } => {
                let name = name.iter().flat_map(|name| ["--as".to_owned(), name.clone()]);
                let words = ["restore".to_owned(), backup::absolute(file)?];
                words.into_iter().chain(space.iter().cloned()).chain(name).collect()
            }
            Command::Salvage { file, alone, others } => {
                let flags = [(alone, "--alone"), (others, "--others")].into_iter().filter(|(set, _)| **set);
                let words = ["salvage".to_owned(), backup::absolute(file)?];
                words.into_iter().chain(flags.map(|(_, flag)| flag.to_owned())).collect()
            }
            _ => std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned()).collect(),
        };
        let input = arguments.command.file().map(read_file).transpose()?;
        Ok(Self { words, arguments, input })
    }

    /// A command that came through the socket.
    pub(crate) fn parse(words: Vec<String>, input: Option<String>) -> Result<Self, Failure> {
        let all = std::iter::once("rejoin").chain(words.iter().map(String::as_str));
        let parsed = Arguments::try_parse_from(all)
            .map_err(|error| Failure::usage(error.to_string().trim().to_owned()))?;
        Ok(Self { words, arguments: parsed.request, input })
    }
}

fn read_file(path: &str) -> Result<String, Failure> {
    let mut text = String::new();
    let read = match path {
        "-" => std::io::stdin().read_to_string(&mut text).map(drop),
        path => std::fs::read_to_string(path).map(|content| text = content),
    };
    read.map_err(|error| Failure::other(format!("cannot read {path}: {error}")))?;
    Ok(text)
}

/// Shows a value to whoever asked; whether anybody still reads.
pub(crate) type Show = dyn FnMut(Value) -> bool + Send;

/// Where the values of an answer go.
pub(crate) struct Answer<'a> {
    show: &'a mut (dyn FnMut(Value) -> bool + Send + 'a),
    code: u8,
    is_heard: bool,
}

impl<'a> Answer<'a> {
    pub(crate) fn new(show: &'a mut (dyn FnMut(Value) -> bool + Send + 'a)) -> Self {
        Self { show, code: 0, is_heard: true }
    }

    pub(crate) fn say(&mut self, value: Value) {
        self.is_heard &= (self.show)(value);
    }

    /// Whether anybody still reads what is said.
    pub(crate) fn is_heard(&self) -> bool {
        self.is_heard
    }

    /// The command has answered, and its answer is bad news; of several the one with the highest code.
    pub(crate) fn bad_news(&mut self, code: u8) {
        self.code = self.code.max(code);
    }

    pub(crate) fn exit(&self) -> u8 {
        self.code
    }

    pub(crate) fn code(&self) -> ExitCode {
        ExitCode::from(self.code)
    }
}

/// Does what a command asks.
pub(crate) async fn run(node: &Node, request: &Request, answer: &mut Answer<'_>) -> Result<(), Failure> {
    let arguments = &request.arguments;
    let receipt = arguments.receipt();
    let about = match arguments.command.target() {
        Some(target) => Some(space(node, target.split('/').next().unwrap_or(target))?),
        None if arguments.after.is_some() || arguments.token => {
            return Err(Failure::usage("this command is not about one space: it has no token".into()));
        }
        None => None,
    };
    if let (Some(space), Some(token)) = (&about, &arguments.after) {
        space.read_after(token, Duration::from_secs(arguments.within)).await?;
    }
    perform(node, request, receipt, answer).await?;
    let is_asked = arguments.token || matches!(arguments.command, Command::Token { .. });
    if let Some(space) = about.filter(|_| is_asked) {
        answer.say(json!({ "token": space.token()?.to_string() }));
    }
    Ok(())
}

async fn perform(
    node: &Node,
    request: &Request,
    receipt: Option<(usize, Duration)>,
    answer: &mut Answer<'_>,
) -> Result<(), Failure> {
    match &request.arguments.command {
        Command::Init => spaces::init(node, answer),
        Command::New { name } => spaces::new(node, name, answer).await?,
        Command::Join { ticket, name } => spaces::join(node, ticket, name.as_deref(), answer).await?,
        Command::Spaces => spaces::list(node, answer)?,
        Command::Leave { space } => spaces::leave(node, space, answer).await?,
        Command::Forget { space, again, even_so } => {
            spaces::forget(node, space, again, *even_so, answer).await?;
        }
        Command::Ticket { space } => spaces::ticket(node, space, answer).await?,
        Command::Ls { space } => spaces::objects(node, space, answer)?,
        Command::Counter(command) => data::counter(node, command, receipt, answer).await?,
        Command::Bounded(command) => bounded::bounded(node, command, receipt, answer).await?,
        Command::Set(command) => data::set(node, command, receipt, answer).await?,
        Command::Map(command) => data::map(node, command, receipt, answer).await?,
        Command::List(command) => sequences::list(node, command, receipt, answer).await?,
        Command::Log(command) => sequences::log(node, command, receipt, answer).await?,
        Command::Doc(command) => documents::doc(node, command, receipt, answer).await?,
        Command::Register(command) => data::register(node, command, receipt, answer).await?,
        Command::Import { target, .. } => {
            let input = request.input.as_deref().unwrap_or_default();
            import::import(node, target, input, receipt, answer).await?;
        }
        Command::Batch { space, once, .. } => {
            let input = request.input.as_deref().unwrap_or_default();
            import::batch(node, space, input, once.as_deref(), receipt, answer).await?;
        }
        // Printed below, as after any other command.
        Command::Token { .. } => {}
        Command::ForgetOnce { space, days } => spaces::forget_once(node, space, *days, answer).await?,
        Command::Here { space, set, clear } => status::here(node, space, set.as_deref(), *clear, answer)?,
        Command::Undo { space, keep } => undo::undo(node, space, *keep, receipt, answer).await?,
        Command::Redo { space } => undo::redo(node, space, receipt, answer).await?,
        Command::Export { target } => data::export(node, target, answer)?,
        Command::Lost { space, forget } => data::lost(node, space, *forget, answer)?,
        Command::Watch { target } => data::watch(node, target, answer).await?,
        Command::Query(asked) => query::query(node, asked, answer).await?,
        Command::Feed { target, since, keep, days, off } => {
            let asked = feed::Asked { target, since: *since, keep: *keep, days: *days, off: *off };
            feed::feed(node, asked, answer).await?;
        }
        Command::Sync { space, address } => status::sync(node, space, address, answer).await?,
        Command::Status => status::status(node, answer)?,
        Command::Peers => status::peers(node, answer)?,
        Command::Verify { what } => status::verify(node, what.as_deref(), answer).await?,
        Command::Backup { space, file } => backup::backup(node, space.as_deref(), file, answer).await?,
        Command::Restore { file, space, name } => {
            let what = Restore { only: space.clone(), name: name.clone() };
            backup::restore(node, file, what, answer).await?;
        }
        Command::Salvage { file, alone, others } => {
            backup::salvage(node, file, Salvage { alone: *alone, others: *others }, answer).await?;
        }
        Command::Demo(_) => {
            return Err(Failure::usage(
                "the demo runs nodes of its own: start it without a running node".into(),
            ));
        }
        Command::Serve(_) => {
            return Err(Failure { code: ERROR, words: "a node runs on this data directory already".into() });
        }
    }
    Ok(())
}

/// Takes `SPACE/PATH` apart.
fn target<'a>(node: &Node, target: &'a str) -> Result<(Space, &'a str), Failure> {
    let (space, path) = target.split_once('/').ok_or_else(|| {
        Failure::usage(format!("`{target}` lacks a path: write SPACE/PATH, such as {target}/tasks"))
    })?;
    Ok((self::space(node, space)?, path))
}

/// A space by its name. Where there is none, one that cannot be used may be the one that was meant: its name lies in it.
fn space(node: &Node, name: &str) -> Result<Space, Failure> {
    let error = match node.space(name) {
        Err(error @ Error::UnknownSpace { .. }) => error,
        found => return Ok(found?),
    };
    let unusable = node.unusable();
    let by_id = unusable.iter().find(|(id, _)| name.len() >= 8 && id.to_string().starts_with(name));
    Err(match by_id.or(unusable.first()) {
        Some((id, why)) => Failure {
            words: format!("{error}; the space {id} cannot be used: {why}"),
            ..Failure::from(why.as_ref())
        },
        None => error.into(),
    })
}

/// Waits as long as was asked for.
async fn settle<T: Send + 'static>(
    commit: Commit<T>,
    receipt: Option<(usize, Duration)>,
) -> Result<T, Failure> {
    Ok(match receipt {
        Some((devices, within)) => commit.confirmed(devices, within).await?,
        None => commit.await?,
    })
}

/// JSON, or a bare word as a string.
fn value(word: &str) -> Value {
    serde_json::from_str(word).unwrap_or_else(|_| Value::String(word.to_owned()))
}
