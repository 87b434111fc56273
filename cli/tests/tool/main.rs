//! The command as people and scripts meet it.
//!
//! | module | what must hold |
//! |---|---|
//! | [`shapes`] | the JSON of every command is that of the fixtures in tests/cli, with and without a running node |
//! | [`human`] | so are the words for people |
//! | [`manners`] | help, bare words, standard input, closed pipes |
//! | [`errors`] | what a person gets wrong: one line that says what to do, the right exit code, nothing lost |
//! | [`damage`] | files that were cut off, flipped, or written by a later version |
//! | [`backup`] | backups: what comes back, what is refused, kills, full disks |
//! | [`rollback`] | copies, restored backups, damaged stores: nothing is lost, and it is said |
//! | [`disk`] | a full disk, a read-only one |
//! | [`process`] | signals, locks, commands at the same moment, long paths |
//! | [`once`] | acts that are asked for again after a kill, tokens |
//! | [`hostile`] | strangers at the port and at the socket |
//!
//! [`support`] runs the command, [`normal`] takes out of an answer what differs from run to run.

mod backup;
mod damage;
mod disk;
mod errors;
mod feed;
mod hostile;
mod human;
mod live;
mod manners;
mod normal;
mod once;
mod process;
mod rollback;
mod shapes;
mod support;
