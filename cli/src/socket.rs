//! Commands through a running node: a Unix socket in its data directory, readable by its owner only.
//!
//! One request a line: `{"args": [words of the command line], "input": text or null}`; `--json` and `--data` among the
//! words mean nothing here. The answer is one or more lines `{"out": [values], "exit": code or null, "error": text or
//! null}`; the one with an exit code is the last. A connection may carry any number of requests, one after the other;
//! one that makes no sense ends it.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use rejoin::Node;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use crate::commands::{self, Answer, Request, Show};
use crate::failure::{Failure, talk};

/// Longest request: an import of a few hundred thousand rows.
const REQUEST_BYTES: u64 = 256 * 1024 * 1024;
/// Longest path of a socket that every system takes.
const PATH_BYTES: usize = 100;
/// Values that wait for a slow reader of a `watch`.
const VALUES: usize = 1024;

#[derive(Serialize, Deserialize)]
struct Question {
    args: Vec<String>,
    #[serde(default)]
    input: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct Line {
    #[serde(default)]
    out: Vec<Value>,
    exit: Option<u8>,
    error: Option<String>,
}

/// Where the socket of a data directory lies.
fn place(data: &Path) -> PathBuf {
    // Whichever way the directory was named, it has one socket.
    let whole = std::fs::canonicalize(data).unwrap_or_else(|_| data.to_owned());
    let place = whole.join("rejoin.sock");
    if place.as_os_str().len() <= PATH_BYTES {
        return place;
    }
    // Too long for a socket: a name of its own among the temporary files.
    let mut hasher = std::hash::DefaultHasher::new();
    std::hash::Hash::hash(&whole, &mut hasher);
    std::env::temp_dir().join(format!("rejoin-{:016x}.sock", std::hash::Hasher::finish(&hasher)))
}

/// Whether a node runs on a data directory.
pub(crate) async fn answers(data: &Path) -> bool {
    connect(data).await.is_some()
}

/// The node that runs on a data directory. Among the temporary files anybody could listen under the name, so the owner
/// of the socket has to be that of the directory.
async fn connect(data: &Path) -> Option<UnixStream> {
    let place = place(data);
    let owner = |path: &Path| std::fs::metadata(path).map(|facts| facts.uid()).ok();
    if owner(&place)? != owner(data)? {
        return None;
    }
    UnixStream::connect(place).await.ok()
}

/// Asks the node that runs on a data directory; `None` when none does.
pub(crate) async fn ask(
    data: &Path,
    request: &Request,
    show: &mut Show,
) -> Result<Option<ExitCode>, Failure> {
    let Some(stream) = connect(data).await else { return Ok(None) };
    let (from_node, mut to_node) = stream.into_split();
    let question = Question { args: request.words.clone(), input: request.input.clone() };
    let mut question = serde_json::to_string(&question).expect("text is JSON");
    question.push('\n');
    if question.len() as u64 > REQUEST_BYTES {
        let most = REQUEST_BYTES / 1024 / 1024;
        return Err(Failure::other(format!(
            "a running node takes at most {most} MiB at once: split the input; nothing was written"
        )));
    }
    let gone = |error: io::Error| {
        Failure::other(format!("the running node went away: {error}; the change may or may not be there"))
    };
    to_node.write_all(question.as_bytes()).await.map_err(gone)?;
    let mut lines = BufReader::new(from_node).lines();
    while let Some(line) = lines.next_line().await.map_err(gone)? {
        let line: Line = serde_json::from_str(&line)
            .map_err(|error| Failure::other(format!("the running node is of another version: {error}")))?;
        let is_heard = line.out.into_iter().all(&mut *show);
        match (line.exit, line.error) {
            (Some(code), Some(words)) => return Err(Failure { code, words }),
            (Some(code), None) => return Ok(Some(ExitCode::from(code))),
            (None, _) if !is_heard => return Ok(Some(ExitCode::SUCCESS)),
            (None, _) => {}
        }
    }
    Err(gone(io::ErrorKind::UnexpectedEof.into()))
}

/// A node's end; the file goes when this is dropped.
pub(crate) struct Socket {
    listener: UnixListener,
    place: PathBuf,
}

impl Socket {
    /// Opens the socket. Whoever holds the lock of the data directory owns it, so an old one is in nobody's way.
    pub(crate) fn open(data: &Path) -> Result<Self, Failure> {
        let place = place(data);
        let cannot = |error| Failure::other(format!("cannot open the socket {}: {error}", place.display()));
        match std::fs::remove_file(&place) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(cannot(error)),
            _ => {}
        }
        let listener = UnixListener::bind(&place).map_err(cannot)?;
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(&place, mode).map_err(cannot)?;
        Ok(Self { listener, place })
    }

    /// Answers whoever asks, for ever.
    pub(crate) async fn serve(&self, node: &Node) {
        loop {
            match self.listener.accept().await {
                Ok((stream, _)) => {
                    let node = node.clone();
                    tokio::spawn(async move { converse(&node, stream).await });
                }
                Err(error) => {
                    talk(&format!("the socket does not answer: {error}"));
                    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
                }
            }
        }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        // Gone already is what was wanted.
        let _ = std::fs::remove_file(&self.place);
    }
}

async fn converse(node: &Node, stream: UnixStream) {
    let (from_asker, mut to_asker) = stream.into_split();
    let mut from_asker = BufReader::new(from_asker);
    while let Ok(Some(question)) = question(&mut from_asker).await {
        let question = match question {
            Ok(question) => question,
            Err(Failure { code, words }) => {
                // Whoever sends that may not listen either.
                let _ = write(&mut to_asker, &Line { out: Vec::new(), exit: Some(code), error: Some(words) })
                    .await;
                return;
            }
        };
        let (values, mut said) = mpsc::channel::<Value>(VALUES);
        let answering = answer(node, question, values);
        tokio::pin!(answering);
        let last = loop {
            // Whoever asks and goes away ends a `watch`.
            let send = tokio::select! {
                biased;
                Some(value) = said.recv() => Line { out: vec![value], exit: None, error: None },
                line = &mut answering => break line,
                more = from_asker.fill_buf(), if from_asker.buffer().is_empty() => match more {
                    // The next question, early; it waits for its turn.
                    Ok([_, ..]) => continue,
                    Ok([]) | Err(_) => return,
                },
            };
            if write(&mut to_asker, &send).await.is_err() {
                return;
            }
        };
        let mut last = last;
        while let Ok(value) = said.try_recv() {
            last.out.push(value);
        }
        if write(&mut to_asker, &last).await.is_err() {
            return;
        }
    }
}

async fn question<R: AsyncBufRead + Unpin>(from: &mut R) -> io::Result<Option<Result<Question, Failure>>> {
    let mut line = Vec::new();
    if from.take(REQUEST_BYTES).read_until(b'\n', &mut line).await? == 0 {
        return Ok(None);
    }
    let question = serde_json::from_slice(&line);
    Ok(Some(
        question.map_err(|error| Failure::usage(format!("this is no request of one line of JSON: {error}"))),
    ))
}

async fn answer(node: &Node, Question { args, input }: Question, values: mpsc::Sender<Value>) -> Line {
    let mut missed = 0_u64;
    let mut show = |value| {
        // Only a `watch` says more than fits, and it says how much was missed.
        let sent = values.try_send(value);
        missed += u64::from(sent.is_err());
        !matches!(sent, Err(TrySendError::Closed(_)))
    };
    let mut answer = Answer::new(&mut show);
    let outcome = match Request::parse(args, input) {
        Ok(request) => commands::run(node, &request, &mut answer).await,
        Err(failure) => Err(failure),
    };
    let code = answer.exit();
    let out = if missed > 0 { vec![serde_json::json!({ "missed": missed })] } else { Vec::new() };
    match outcome {
        Ok(()) => Line { out, exit: Some(code), error: None },
        Err(failure) => Line { out, exit: Some(failure.code), error: Some(failure.words) },
    }
}

async fn write<W: AsyncWriteExt + Unpin>(to: &mut W, line: &Line) -> io::Result<()> {
    let mut text = serde_json::to_string(line).map_err(io::Error::other)?;
    text.push('\n');
    to.write_all(text.as_bytes()).await
}
