//! The words about objects of a space, a list for each type.

use clap::{Args, Subcommand};

#[derive(Debug, Subcommand)]
pub(crate) enum Counter {
    /// Add N, which may be negative.
    Add {
        /// SPACE/PATH.
        target: String,
        /// How much.
        #[arg(default_value_t = 1, allow_negative_numbers = true)]
        n: i64,
        /// Count it once, however often and wherever it is asked for under this key.
        #[arg(long, value_name = "KEY")]
        once: Option<String>,
    },
    /// Print the number.
    Get {
        /// SPACE/PATH.
        target: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Bounded {
    /// Add N, which this device may then take or give.
    Add {
        /// SPACE/PATH.
        target: String,
        /// How much.
        #[arg(default_value_t = 1)]
        n: u64,
    },
    /// Take N, if this device may.
    #[command(after_help = "\
It is refused when this device has not added or been given so much, even if the number is high enough: the rest is for
others to take. `bounded rights` shows who may take how much.")]
    Take {
        /// SPACE/PATH.
        target: String,
        /// How much.
        #[arg(default_value_t = 1)]
        n: u64,
    },
    /// Let another device take N of what this one may take.
    #[command(after_help = "\
`bounded rights` on the other device shows its id. It has one from its first change of the space on; a device that was
restored or copied has another one. What is given to an id that nobody uses any more is out of reach.")]
    Give {
        /// SPACE/PATH.
        target: String,
        /// The id of the other device in this space; the beginning will do for one that `bounded rights` shows.
        replica: String,
        /// How much.
        n: u64,
    },
    /// Print the number.
    Get {
        /// SPACE/PATH.
        target: String,
    },
    /// Print who may take how much.
    Rights {
        /// SPACE/PATH.
        target: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Set {
    /// Add an element.
    Add {
        /// SPACE/PATH.
        target: String,
        /// JSON; a bare word is text.
        element: String,
        /// For so many seconds only.
        #[arg(long, value_name = "SECONDS")]
        ttl: Option<u64>,
    },
    /// Remove an element.
    Rm {
        /// SPACE/PATH.
        target: String,
        /// JSON; a bare word is text.
        element: String,
    },
    /// Print whether an element is there.
    Has {
        /// SPACE/PATH.
        target: String,
        /// JSON; a bare word is text.
        element: String,
    },
    /// Print the elements.
    Ls {
        /// SPACE/PATH.
        target: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Map {
    /// Set the value of a key.
    Put {
        /// SPACE/PATH.
        target: String,
        /// The key, as text.
        key: String,
        /// JSON; a bare word is text.
        #[arg(allow_hyphen_values = true)]
        value: String,
        /// For so many seconds only.
        #[arg(long, value_name = "SECONDS")]
        ttl: Option<u64>,
    },
    /// Print the value of a key.
    Get {
        /// SPACE/PATH.
        target: String,
        /// The key, as text.
        key: String,
    },
    /// Print the values of a key that were written at the same time as the one that shows.
    Conflicts {
        /// SPACE/PATH.
        target: String,
        /// The key, as text.
        key: String,
    },
    /// Remove a key.
    Rm {
        /// SPACE/PATH.
        target: String,
        /// The key, as text.
        key: String,
    },
    /// Print keys and values.
    Ls {
        /// SPACE/PATH.
        target: String,
    },
}

impl Map {
    pub(crate) fn target(&self) -> &str {
        let (Self::Put { target, .. }
        | Self::Get { target, .. }
        | Self::Conflicts { target, .. }
        | Self::Rm { target, .. }
        | Self::Ls { target }) = self;
        target
    }
}

impl List {
    pub(crate) fn target(&self) -> &str {
        let (Self::Push { target, .. }
        | Self::Insert { target, .. }
        | Self::Set { target, .. }
        | Self::Mv { target, .. }
        | Self::Rm { target, .. }
        | Self::Ls { target }) = self;
        target
    }
}

impl Register {
    pub(crate) fn target(&self) -> &str {
        let (Self::Put { target, .. } | Self::Get { target } | Self::Conflicts { target }) = self;
        target
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum List {
    /// Add an item at the end.
    Push {
        /// SPACE/PATH.
        target: String,
        /// JSON; a bare word is text.
        #[arg(allow_hyphen_values = true)]
        value: String,
    },
    /// Insert an item before another one.
    Insert {
        /// SPACE/PATH.
        target: String,
        /// Before which, counted from 0; the number of items is the end.
        index: usize,
        /// JSON; a bare word is text.
        #[arg(allow_hyphen_values = true)]
        value: String,
    },
    /// Give an item another value.
    Set {
        /// SPACE/PATH.
        target: String,
        /// Which, counted from 0, or by its id.
        item: String,
        /// JSON; a bare word is text.
        #[arg(allow_hyphen_values = true)]
        value: String,
    },
    /// Move an item.
    Mv {
        /// SPACE/PATH.
        target: String,
        /// Which, counted from 0, or by its id.
        item: String,
        /// Which it will be then.
        index: usize,
    },
    /// Remove an item.
    Rm {
        /// SPACE/PATH.
        target: String,
        /// Which, counted from 0, or by its id.
        item: String,
    },
    /// Print the items in their order.
    Ls {
        /// SPACE/PATH.
        target: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Log {
    /// Add an entry.
    Append {
        /// SPACE/PATH.
        target: String,
        /// JSON; a bare word is text.
        #[arg(allow_hyphen_values = true)]
        value: String,
    },
    /// Print entries with who wrote them and when, the oldest first.
    Ls {
        /// SPACE/PATH.
        target: String,
        /// Only so many: the last ones, or the first ones from a place on.
        #[arg(long, value_name = "N")]
        last: Option<usize>,
        /// From this place on.
        #[arg(long, value_name = "PLACE")]
        from: Option<String>,
    },
    /// Remove all entries but the last ones, for everybody.
    Trim {
        /// SPACE/PATH.
        target: String,
        /// How many stay.
        #[arg(long, value_name = "N")]
        keep: usize,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Doc {
    /// Print what is at a path of a document, or all of it.
    Get {
        /// SPACE/PATH.
        target: String,
        /// Names joined by `/`, with numbers for places in lists.
        #[arg(default_value = "")]
        path: String,
        /// As it was at this version; `doc history` shows them.
        #[arg(long, value_name = "VERSION")]
        at: Option<String>,
    },
    /// Put a value at a path.
    Set {
        /// SPACE/PATH.
        target: String,
        /// Names joined by `/`; maps on the way are made.
        path: String,
        /// JSON; a bare word is text.
        #[arg(allow_hyphen_values = true)]
        value: String,
    },
    /// Put a value into a list, before another one.
    Insert {
        /// SPACE/PATH.
        target: String,
        /// The list; it is made if there is none.
        path: String,
        /// Before which, counted from 0.
        index: usize,
        /// JSON; a bare word is text.
        #[arg(allow_hyphen_values = true)]
        value: String,
    },
    /// Put a value at the end of a list.
    Push {
        /// SPACE/PATH.
        target: String,
        /// The list; it is made if there is none.
        path: String,
        /// JSON; a bare word is text.
        #[arg(allow_hyphen_values = true)]
        value: String,
    },
    /// Take characters out of a text and put others in their place.
    Splice {
        /// SPACE/PATH.
        target: String,
        /// The text; it is made if there is none.
        path: String,
        /// Before which character, counted from 0.
        at: usize,
        /// How many to take out.
        delete: usize,
        /// What to put in.
        #[arg(default_value = "", allow_hyphen_values = true)]
        text: String,
    },
    /// Make a text read like this, by the smallest change that does.
    Text {
        /// SPACE/PATH.
        target: String,
        /// The text; it is made if there is none.
        path: String,
        /// All of it.
        #[arg(allow_hyphen_values = true)]
        text: String,
    },
    /// Remove what is at a path.
    Rm {
        /// SPACE/PATH.
        target: String,
        /// Names joined by `/`.
        path: String,
    },
    /// Print every change of a document: who made it, when, and the version that it led to.
    History {
        /// SPACE/PATH.
        target: String,
    },
    /// Save a document whole in place of its changes. Nothing of it changes, and its history stays.
    Compact {
        /// SPACE/PATH.
        target: String,
    },
}

impl Doc {
    pub(crate) fn target(&self) -> &str {
        match self {
            Self::Get { target, .. }
            | Self::Set { target, .. }
            | Self::Insert { target, .. }
            | Self::Push { target, .. }
            | Self::Splice { target, .. }
            | Self::Text { target, .. }
            | Self::Rm { target, .. }
            | Self::History { target }
            | Self::Compact { target } => target,
        }
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Register {
    /// Set the value.
    Put {
        /// SPACE/PATH.
        target: String,
        /// JSON; a bare word is text.
        #[arg(allow_hyphen_values = true)]
        value: String,
        /// For so many seconds only.
        #[arg(long, value_name = "SECONDS")]
        ttl: Option<u64>,
    },
    /// Print the value.
    Get {
        /// SPACE/PATH.
        target: String,
    },
    /// Print the values that were written at the same time as the one that shows.
    Conflicts {
        /// SPACE/PATH.
        target: String,
    },
}

/// Which entries of a map, in which order.
#[derive(Debug, Args)]
pub(crate) struct Query {
    /// SPACE/PATH of the map.
    pub(crate) target: String,
    /// The field to list by, `a/b` for one within another, an empty word for the value itself; several times for several.
    #[arg(long, value_name = "FIELD", required = true)]
    pub(crate) by: Vec<String>,
    /// Those whose first field is this; again for the second. JSON, and bare words are strings.
    #[arg(long, value_name = "VALUE")]
    pub(crate) equal: Vec<String>,
    /// Those whose next field is at least this.
    #[arg(long, value_name = "VALUE")]
    pub(crate) from: Option<String>,
    /// Those whose next field is at most this.
    #[arg(long, value_name = "VALUE")]
    pub(crate) to: Option<String>,
    /// Those whose next field is text that begins so.
    #[arg(long, value_name = "TEXT", conflicts_with_all = ["from", "to"])]
    pub(crate) starting: Option<String>,
    /// The largest first.
    #[arg(long)]
    pub(crate) back: bool,
    /// No more than so many.
    #[arg(long, value_name = "N", default_value_t = 50)]
    pub(crate) limit: usize,
    /// Keep this list no more, and print nothing.
    #[arg(long)]
    pub(crate) drop: bool,
}
