//! The words of the command line.

mod objects;

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use rejoin::{Builder, Cursor, Multiaddr, Token};

use crate::failure::Failure;

pub(crate) use objects::{Bounded, Counter, Doc, List, Log, Map, Query, Register, Set};

/// Data that keeps working when the network does not, and agrees when it returns.
#[derive(Debug, Parser)]
#[command(
    name = "rejoin",
    version,
    after_help = "\
Exit codes: 0 done, 1 error, 2 usage, 3 not confirmed in time or not seen, 4 damage found, 5 locked by another process.
SPACE/PATH is the name of a space and the path of an object in it, such as board/tasks.

  rejoin new board                        begin a space, and print the ticket for others
  rejoin serve                            run: be found, sync, and take commands
  rejoin map put board/tasks t1 '{\"title\":\"Ship\"}'
  rejoin status                           in sync with whom, since when"
)]
pub(crate) struct Arguments {
    /// The data directory; the default is $REJOIN_DATA, or rejoin/ in the user's data folder.
    #[arg(long, global = true, env = "REJOIN_DATA", value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// Print JSON: one value, or one per line for `watch` and `serve`.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) request: RequestArguments,
}

/// The part that may go through the socket of a running node.
#[derive(Debug, Args)]
pub(crate) struct RequestArguments {
    /// Wait until so many other devices have the change on their disks.
    #[arg(long, global = true, value_name = "DEVICES")]
    pub(crate) confirm: Option<usize>,
    /// How long to wait for that, in seconds.
    #[arg(long, global = true, value_name = "SECONDS", default_value_t = 10)]
    pub(crate) within: u64,
    /// First wait until this device has seen what `token` printed on another one, as long as --within says.
    #[arg(long, global = true, value_name = "TOKEN", value_parser = token)]
    pub(crate) after: Option<Token>,
    /// Print the token of the space afterwards: what has seen the change, for `--after` on another device.
    #[arg(long, global = true)]
    pub(crate) token: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

impl RequestArguments {
    pub(crate) fn receipt(&self) -> Option<(usize, Duration)> {
        self.confirm.map(|devices| (devices, Duration::from_secs(self.within)))
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make the data directory and the key of this device, if they are not there.
    Init,
    /// Begin a space.
    New {
        /// What this device calls it.
        name: String,
    },
    /// Join a space that somebody else began.
    Join {
        /// What `ticket` printed on the other device.
        ticket: String,
        /// What this device calls it.
        #[arg(long = "as", value_name = "NAME")]
        name: Option<String>,
    },
    /// List the spaces of this device.
    Spaces,
    /// Sync a space no more, and keep what is here. `join` with a ticket undoes it.
    Leave {
        /// The name of the space, or the beginning of its id.
        space: String,
    },
    /// Delete a space from this device. Others keep what they have.
    #[command(after_help = "\
The name is asked for twice, so that no slip deletes anything. Changes that are on no other device keep a space from being
deleted, unless --even-so says that they may go.")]
    Forget {
        /// The name of the space, or the beginning of its id.
        space: String,
        /// The same name again.
        again: String,
        /// Also what is on no other device.
        #[arg(long)]
        even_so: bool,
    },
    /// Print an invitation to a space. It is a secret: whoever has it can join.
    Ticket {
        /// The name of the space, or the beginning of its id.
        space: String,
    },
    /// List the objects of a space.
    Ls {
        /// The name of the space, or the beginning of its id.
        space: String,
    },
    /// Print what this device has seen of a space, for `--after` on another one.
    Token {
        /// The name of the space, or the beginning of its id.
        space: String,
    },
    /// Forget the keys of `--once` that are older than some days. What they did stays.
    #[command(after_help = "A try that comes after that counts again.")]
    ForgetOnce {
        /// The name of the space, or the beginning of its id.
        space: String,
        /// How old, in days: longer than any try may take, and than any device is away.
        #[arg(long, value_name = "DAYS")]
        days: u32,
    },
    /// Take back the last change that this device made, or say how many are to be kept for that.
    #[command(after_help = "\
Nothing is kept unless it is asked for: `--keep 100` keeps the last hundred changes made from then on, `--keep 0` none.
What somebody has written over since is left alone, and said so; a counter is turned back by the opposite amount.")]
    Undo {
        /// The name of the space, or the beginning of its id.
        space: String,
        /// Keep so many changes from now on, and take nothing back.
        #[arg(long, value_name = "CHANGES")]
        keep: Option<u32>,
    },
    /// Do again what `undo` took back last.
    Redo {
        /// The name of the space, or the beginning of its id.
        space: String,
    },
    /// Print who is here now, and what they say of themselves.
    #[command(after_help = "\
A device is here while `serve` runs on it and it has said something of itself, with `--set`, that the others have heard.
Nothing of that is stored: it ends with `serve`, or with `--clear`.")]
    Here {
        /// The name of the space, or the beginning of its id.
        space: String,
        /// Say this of this device from now on. JSON; a bare word is text.
        #[arg(long, value_name = "VALUE", allow_hyphen_values = true)]
        set: Option<String>,
        /// Say that this device goes.
        #[arg(long, conflicts_with = "set")]
        clear: bool,
    },
    /// Run: listen, find others, sync, and take commands, until SIGINT or SIGTERM.
    Serve(Serve),
    /// A number that everybody adds to.
    #[command(subcommand)]
    Counter(Counter),
    /// A number that does not fall below zero: each device takes what it has added or was given.
    #[command(subcommand)]
    Bounded(Bounded),
    /// A set of elements.
    #[command(subcommand)]
    Set(Set),
    /// Values by key. Values are JSON, and bare words are strings.
    #[command(subcommand)]
    Map(Map),
    /// One value.
    #[command(subcommand)]
    Register(Register),
    /// Items in an order of their own.
    #[command(subcommand)]
    List(List),
    /// What happened, in the order of time; entries are added and never changed.
    #[command(subcommand)]
    Log(Log),
    /// Text and nested data that people write at once, with its history.
    #[command(subcommand)]
    Doc(Doc),
    /// Put a JSON object, or JSON lines {"key": .., "value": ..}, into a map.
    Import {
        /// SPACE/PATH of the map.
        target: String,
        /// The file; `-` reads standard input.
        file: String,
    },
    /// Print a space, or one object of it, as JSON.
    Export {
        /// SPACE or SPACE/PATH.
        target: String,
    },
    /// One transaction of JSON lines from standard input, such as {"map": PATH, "put": KEY, "value": V}.
    #[command(after_help = "\
Lines: {\"map\": PATH, \"put\": KEY, \"value\": V}  {\"map\": PATH, \"rm\": KEY}  {\"counter\": PATH, \"add\": N}
       {\"bounded\": PATH, \"add\": N}  {\"bounded\": PATH, \"take\": N}  {\"bounded\": PATH, \"give\": N, \"to\": REPLICA}
       {\"set\": PATH, \"add\": E}  {\"set\": PATH, \"rm\": E}  {\"register\": PATH, \"put\": V}
       {\"list\": PATH, \"push\": V}  {\"log\": PATH, \"append\": V}")]
    Batch {
        /// The name of the space, or the beginning of its id.
        space: String,
        /// The file; `-` reads standard input.
        #[arg(default_value = "-")]
        file: String,
        /// Do it once, however often and wherever it is asked for under this key.
        #[arg(long, value_name = "KEY")]
        once: Option<String>,
    },
    /// Print changes as they happen, until interrupted.
    Watch {
        /// SPACE or SPACE/PATH.
        target: String,
    },
    /// List entries of a map by what their values hold, without reading the others.
    #[command(after_help = "\
    rejoin query board/tasks --by owner --by due --equal ada --to 20 --limit 50

The first call for some fields lists the whole map once; from then on this device keeps the list in step.")]
    Query(Query),
    /// Print what has changed since a place, with what was there before, and the place to ask from next time.
    #[command(after_help = "\
The first call, and one that comes too late, prints what is there (\"anew\": true). From the first call on the space notes its
changes, 16 MB of them: --keep and --days say how much. Counters, lists and documents are only said to have changed.")]
    Feed {
        /// SPACE, or SPACE/PATHS for those that begin so.
        target: String,
        /// The cursor that was printed last.
        #[arg(long, value_name = "CURSOR", value_parser = cursor)]
        since: Option<Cursor>,
        /// Keep so many megabytes of changes from now on.
        #[arg(long, value_name = "MEGABYTES")]
        keep: Option<u64>,
        /// Keep changes for so many days: an archive of what was removed and overwritten, on this device.
        #[arg(long, value_name = "DAYS")]
        days: Option<u32>,
        /// Note nothing any more, and drop what was noted.
        #[arg(long, conflicts_with_all = ["since", "keep", "days"])]
        off: bool,
    },
    /// Sync a space with one peer, once, until both hold the same.
    Sync {
        /// The name of the space, or the beginning of its id.
        space: String,
        /// Where the peer listens, as its `serve` prints.
        address: Multiaddr,
    },
    /// In sync with whom, since when.
    Status,
    /// Who was met, and how far behind they are.
    Peers,
    /// Recompute everything that the stores say about themselves, or check a backup to its last byte.
    Verify {
        /// One space, or a file that holds a backup; all spaces without it. A file of that name comes first.
        #[arg(value_name = "SPACE|FILE")]
        what: Option<String>,
    },
    /// Save a space, or all of them, in one file, while everything goes on.
    #[command(
        allow_missing_positional = true,
        after_help = "\
An older backup of that name is replaced when the new one is complete; anything else of that name is left alone.
The file holds all data, readable for whoever has it. It does not hold the key of this device."
    )]
    Backup {
        /// The name of the space, or the beginning of its id; all of them without it.
        space: Option<String>,
        /// Where the backup is to lie.
        file: String,
    },
    /// Bring back what a backup holds. Spaces that are here already are not touched.
    #[command(after_help = "\
What comes back writes under a new id and syncs with the others as it always did: nothing that they have is lost, and
nothing that they removed comes back.")]
    Restore {
        /// The backup.
        file: String,
        /// One space of it, by its name or the beginning of its id; all of them without it.
        space: Option<String>,
        /// What this device calls that one.
        #[arg(long = "as", value_name = "NAME", requires = "space")]
        name: Option<String>,
    },
    /// Write again what a file that was set aside as damaged still holds of this device's changes and nobody else has.
    #[command(after_help = "\
`status` names the files that `serve` has set aside. Salvage after the space was in sync with another device, through the
running node: what others removed stays removed, and what they know is left alone. Doing it again does no harm.")]
    Salvage {
        /// The file.
        file: String,
        /// No other device has this space, so nobody has to be heard first.
        #[arg(long)]
        alone: bool,
        /// Also what other devices wrote and nobody here has. Only for devices that are gone.
        #[arg(long)]
        others: bool,
    },
    /// List what is set aside because a device was restored or cloned unnoticed and wrote twice under one id.
    #[command(after_help = "\
One of two changes under one name stays, the same everywhere; the other is set aside on the devices that saw it go. Some of
what is listed was removed in the ordinary way, which nothing can tell apart: look before you write it again.")]
    Lost {
        /// The name of the space, or the beginning of its id.
        space: String,
        /// Let go of all that is listed, for good.
        #[arg(long)]
        forget: bool,
    },
    /// The main job on real input: three nodes, one cut off, one killed, and nothing lost.
    Demo(crate::demo::Options),
}

/// How to run a node.
#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// Where to listen; several times for several places.
    #[arg(long, value_name = "MULTIADDR")]
    pub(crate) listen: Vec<Multiaddr>,
    /// Stay connected to this peer; several times for several peers.
    #[arg(long, value_name = "MULTIADDR")]
    pub(crate) peer: Vec<Multiaddr>,
    /// Do not look for peers on the local network.
    #[arg(long)]
    pub(crate) no_mdns: bool,
}

impl Command {
    /// The space that it is about, and its path if it has one.
    pub(crate) fn target(&self) -> Option<&str> {
        match self {
            Self::Token { space } | Self::ForgetOnce { space, .. } | Self::Ls { space } => Some(space),
            Self::Batch { space, .. } | Self::Lost { space, .. } => Some(space),
            Self::Undo { space, .. } | Self::Redo { space } | Self::Here { space, .. } => Some(space),
            Self::Import { target, .. } | Self::Export { target } | Self::Watch { target } => Some(target),
            Self::Feed { target, .. } | Self::Query(Query { target, .. }) => Some(target),
            Self::Counter(Counter::Add { target, .. } | Counter::Get { target }) => Some(target),
            Self::Set(
                Set::Add { target, .. }
                | Set::Rm { target, .. }
                | Set::Has { target, .. }
                | Set::Ls { target },
            ) => Some(target),
            Self::Map(command) => Some(command.target()),
            Self::List(command) => Some(command.target()),
            Self::Log(Log::Append { target, .. } | Log::Ls { target, .. } | Log::Trim { target, .. }) => {
                Some(target)
            }
            Self::Register(command) => Some(command.target()),
            _ => None,
        }
    }

    /// Whether it has to reach others by itself.
    pub(crate) fn needs_network(&self) -> bool {
        matches!(self, Self::Sync { .. } | Self::Watch { .. })
    }

    /// Whether it goes on for long, so that others have to be able to use the node meanwhile.
    pub(crate) fn is_long(&self) -> bool {
        matches!(self, Self::Watch { .. })
    }

    /// The backup that is to be checked: it needs no node.
    pub(crate) fn backup_to_verify(&self) -> Option<&Path> {
        match self {
            Self::Verify { what: Some(what) } => Some(Path::new(what)).filter(|file| file.is_file()),
            _ => None,
        }
    }

    /// Whether it says how far it has come.
    pub(crate) fn tells_progress(&self) -> bool {
        matches!(self, Self::Backup { .. } | Self::Restore { .. } | Self::Verify { .. })
    }

    /// The file whose content it works on.
    pub(crate) fn file(&self) -> Option<&str> {
        match self {
            Self::Import { file, .. } | Self::Batch { file, .. } => Some(file),
            _ => None,
        }
    }
}

fn token(text: &str) -> Result<Token, String> {
    text.parse().map_err(|_| "it is no token: `rejoin token SPACE` prints one".into())
}

fn cursor(text: &str) -> Result<Cursor, String> {
    text.parse().map_err(|_| "it is no cursor: `rejoin feed SPACE` prints one".into())
}

/// Where a user's data lies when nothing else was said.
pub(crate) fn default_directory() -> Result<PathBuf, Failure> {
    let from = |name: &str, below: &str| {
        std::env::var_os(name).filter(|value| !value.is_empty()).map(|base| PathBuf::from(base).join(below))
    };
    from("XDG_DATA_HOME", "rejoin")
        .or_else(|| from("HOME", ".local/share/rejoin"))
        .or_else(|| from("APPDATA", "rejoin"))
        .ok_or_else(|| {
            Failure::other("there is no home folder: say where the data lies with --data DIR".into())
        })
}

/// Settings that people rarely need: bytes of recent changes that are kept (0 makes every sync a bulk), and bytes that one
/// frame of a sync carries.
pub(crate) fn tuned(mut builder: Builder) -> Builder {
    let number = |name| std::env::var(name).ok()?.parse::<u64>().ok();
    if let Some(bytes) = number("REJOIN_LOG_BYTES") {
        builder = builder.log_bytes(bytes);
    }
    if let Some(bytes) = number("REJOIN_CHUNK_BYTES").and_then(|bytes| usize::try_from(bytes).ok()) {
        builder = builder.chunk_bytes(bytes);
    }
    builder
}
