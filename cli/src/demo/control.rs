//! Commands to a running node through the socket in its data directory: many over one connection, so that thousands of
//! edits take seconds and not a process each.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::time::{Instant, sleep, timeout};

/// How long a running node may take to answer.
const ANSWER_TIME: Duration = Duration::from_secs(30);
/// How long a node that was started may take to open its socket.
const OPEN_TIME: Duration = Duration::from_secs(15);

/// One conversation with a node.
pub(super) struct Control {
    from_node: BufReader<OwnedReadHalf>,
    to_node: OwnedWriteHalf,
}

/// Why there is no answer.
pub(super) enum Failed {
    /// The connection broke: what was asked may have been done or not.
    Gone(anyhow::Error),
    /// The node answered with an error.
    Refused(anyhow::Error),
}

impl From<Failed> for anyhow::Error {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::Gone(error) | Failed::Refused(error) => error,
        }
    }
}

impl Control {
    /// Connects to the node that runs on a data directory, or is about to.
    pub(super) async fn connect(data: &Path) -> Result<Self> {
        let place = data.join("rejoin.sock");
        let end = Instant::now() + OPEN_TIME;
        loop {
            match UnixStream::connect(&place).await {
                Ok(stream) => {
                    let (from_node, to_node) = stream.into_split();
                    return Ok(Self { from_node: BufReader::new(from_node), to_node });
                }
                Err(_) if Instant::now() < end => sleep(Duration::from_millis(50)).await,
                Err(error) => return Err(error).with_context(|| format!("no node at {}", place.display())),
            }
        }
    }

    /// Sends one command and waits for its answer: the values it printed.
    pub(super) async fn ask<W: AsRef<str>>(
        &mut self,
        words: &[W],
        input: Option<&str>,
    ) -> Result<Vec<Value>, Failed> {
        let words: Vec<&str> = words.iter().map(AsRef::as_ref).collect();
        let exchange = self.exchange(&words, input);
        let answer =
            timeout(ANSWER_TIME, exchange).await.unwrap_or_else(|_| Err(anyhow!("no answer in time")));
        let (values, problem) =
            answer.map_err(|error| Failed::Gone(error.context(words[..2.min(words.len())].join(" "))))?;
        match problem {
            None => Ok(values),
            Some(problem) => Err(Failed::Refused(anyhow!("`{}` was refused: {problem}", words.join(" ")))),
        }
    }

    /// As [`Self::ask`], for commands that print one value.
    pub(super) async fn one<W: AsRef<str>>(&mut self, words: &[W]) -> Result<Value> {
        let values = self.ask(words, None).await?;
        values.into_iter().next().context("the node answered without a value")
    }

    async fn exchange(
        &mut self,
        words: &[&str],
        input: Option<&str>,
    ) -> Result<(Vec<Value>, Option<String>)> {
        let question = json!({ "args": words, "input": input });
        self.to_node.write_all(format!("{question}\n").as_bytes()).await?;
        let mut values = Vec::new();
        loop {
            let mut line = String::new();
            if self.from_node.read_line(&mut line).await? == 0 {
                bail!("the node went away");
            }
            let mut answer: Value = serde_json::from_str(&line).context("the answer is no JSON")?;
            if let Some(out) = answer["out"].as_array_mut() {
                values.append(out);
            }
            match (answer["exit"].as_u64(), answer["error"].as_str()) {
                (None, _) => {}
                (Some(0), None) => return Ok((values, None)),
                (Some(_), Some(problem)) => return Ok((values, Some(problem.to_owned()))),
                (Some(code), None) => return Ok((values, Some(format!("exit code {code}")))),
            }
        }
    }
}
