//! What one stream has carried, in the figures that people ask for: rows, and how often this side had to wait.
//!
//! A round trip is counted when something is sent after something was heard. Acknowledgements are neither: they ride
//! along. What a full window holds back is sent after a wait too, so that counts.

use crate::boundary::Traffic;
use crate::sync::message::{Deltas, Message};

/// Counts for one session.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    rows_in: u64,
    rows_out: u64,
    turns: u32,
    /// Something came since this side last sent.
    heard: bool,
    /// The window was full when there was more to send.
    stalled: bool,
    /// The turn at which data was last sent, and last received.
    sent_at: Option<u32>,
    received_at: Option<u32>,
}

impl Tally {
    pub(super) fn received(&mut self, message: &Message, data: bool) {
        if matches!(message, Message::Ack(_)) {
            return;
        }
        self.heard = true;
        self.rows_in += rows(message);
        if data {
            self.received_at = Some(self.turns + 1);
        }
    }

    /// Data is sent, now.
    pub(super) fn sending(&mut self, message: &Message) {
        self.turns += u32::from(core::mem::take(&mut self.stalled));
        self.rows_out += rows(message);
        self.sent_at = Some(self.turns + u32::from(self.heard));
    }

    /// Something other than an acknowledgement was sent.
    pub(super) fn sent(&mut self) {
        self.turns += u32::from(core::mem::take(&mut self.heard));
    }

    pub(super) const fn stalled(&mut self) {
        self.stalled = true;
    }

    pub(super) fn traffic(&self) -> Traffic {
        let round_trips = self.sent_at.or(self.received_at).unwrap_or(0);
        let all = self.turns + u32::from(self.heard);
        Traffic {
            rows_in: self.rows_in,
            rows_out: self.rows_out,
            round_trips,
            proof_round_trips: all.saturating_sub(round_trips),
        }
    }
}

fn rows(message: &Message) -> u64 {
    let of = |deltas: &Deltas| deltas.deltas.iter().map(|delta| delta.puts.len() as u64).sum();
    match message {
        Message::Deltas(deltas) | Message::BulkTail(_, deltas) => of(deltas),
        Message::BulkChunk(chunk) => chunk.entries.len() as u64,
        _ => 0,
    }
}
