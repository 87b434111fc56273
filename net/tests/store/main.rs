//! The store on disk: the same as the one in memory, whatever the disk below it does.

mod backup;
mod conformance;
mod crash;
mod damage;
mod disk;
mod faults;
mod files;
mod script;
