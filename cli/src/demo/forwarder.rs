//! A wire that can be cut: forwards TCP connections to one place, and on demand drops what they carry.
//!
//! While cut, bytes are read and thrown away in both directions, ends that close are not told to the other side, and
//! nobody new is accepted: for both ends the other has gone silent, as with a pulled cable. The nodes know nothing of
//! it. When healed, old connections are reset (what they carried has holes) and new ones are forwarded.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;

use anyhow::{Context, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};

const CHUNK: usize = 64 * 1024;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Gate {
    is_cut: bool,
    /// How often it was healed: connections of an earlier time are reset.
    time: u64,
}

#[derive(Default)]
struct Traffic {
    forwarded: AtomicU64,
    dropped: AtomicU64,
}

/// One listening port; the task behind it ends when this is dropped.
pub(super) struct Forwarder {
    port: u16,
    target: Arc<Mutex<Option<SocketAddr>>>,
    gate: watch::Sender<Gate>,
    traffic: Arc<Traffic>,
    task: AbortHandle,
}

impl Forwarder {
    /// Listens on a free port of this machine, and leads nowhere yet.
    pub(super) async fn open() -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.context("no port for the forwarder")?;
        let port = listener.local_addr().context("no port for the forwarder")?.port();
        let gate = watch::Sender::new(Gate { is_cut: false, time: 0 });
        let (target, traffic) = (Arc::default(), Arc::default());
        let accepting = accept(listener, Arc::clone(&target), gate.subscribe(), Arc::clone(&traffic));
        let task = tokio::spawn(accepting).abort_handle();
        Ok(Self { port, target, gate, traffic, task })
    }

    /// Where to dial instead of the target.
    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// Where new connections lead from now on.
    pub(super) fn lead_to(&self, port: u16) {
        let target = SocketAddr::from(([127, 0, 0, 1], port));
        *self.target.lock().unwrap_or_else(PoisonError::into_inner) = Some(target);
    }

    pub(super) fn cut(&self) {
        self.gate.send_modify(|gate| gate.is_cut = true);
    }

    pub(super) fn heal(&self) {
        self.gate.send_modify(|gate| *gate = Gate { is_cut: false, time: gate.time + 1 });
    }

    /// Bytes that went through, both ways.
    pub(super) fn forwarded(&self) -> u64 {
        self.traffic.forwarded.load(Ordering::Relaxed)
    }

    /// Bytes that were thrown away while it was cut.
    pub(super) fn dropped(&self) -> u64 {
        self.traffic.dropped.load(Ordering::Relaxed)
    }
}

impl Drop for Forwarder {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(
    listener: TcpListener,
    target: Arc<Mutex<Option<SocketAddr>>>,
    mut gate: watch::Receiver<Gate>,
    traffic: Arc<Traffic>,
) {
    // Dropped with this task, and all connections with it.
    let mut connections = JoinSet::new();
    let mut time = 0;
    loop {
        let open = gate.wait_for(|gate| !gate.is_cut).await.map(|gate| *gate);
        let Ok(open) = open else { return };
        if open.time != time {
            time = open.time;
            turn_away(&listener).await;
        }
        let accepted = tokio::select! {
            biased;
            _ = gate.changed() => continue,
            accepted = listener.accept() => accepted,
        };
        while connections.try_join_next().is_some() {}
        let to = *target.lock().unwrap_or_else(PoisonError::into_inner);
        if let (Ok((from, _)), Some(to)) = (accepted, to) {
            connections.spawn(connect(from, to, gate.clone(), Arc::clone(&traffic)));
        }
    }
}

/// Who knocked while the wire was cut is reset: with a real one nothing of it would have arrived.
async fn turn_away(listener: &TcpListener) {
    // Without waiting: whoever comes from now on is welcome.
    let knocking = || poll_fn(|context| Poll::Ready(listener.poll_accept(context)));
    while let Poll::Ready(Ok((waiting, _))) = knocking().await {
        let _ = waiting.set_zero_linger();
    }
}

async fn connect(from: TcpStream, to: SocketAddr, gate: watch::Receiver<Gate>, traffic: Arc<Traffic>) {
    let time = gate.borrow().time;
    // Nobody there: the one who dialled sees its connection close.
    let Ok(to) = TcpStream::connect(to).await else { return };
    for end in [&from, &to] {
        // Costs speed only, if the system refuses.
        let _ = end.set_nodelay(true);
    }
    let ((from_read, from_write), (to_read, to_write)) = (from.into_split(), to.into_split());
    let there = pump(from_read, to_write, gate.clone(), time, &traffic);
    let back = pump(to_read, from_write, gate, time, &traffic);
    tokio::join!(there, back);
}

/// Carries one direction until its end closes, or the wire was cut and healed.
async fn pump(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut gate: watch::Receiver<Gate>,
    time: u64,
    traffic: &Traffic,
) {
    let mut now = gate.clone();
    let carry = async {
        let mut buffer = vec![0; CHUNK];
        loop {
            let count = from.read(&mut buffer).await.unwrap_or(0);
            let is_cut = now.borrow_and_update().is_cut;
            match count {
                0 if is_cut => std::future::pending().await,
                0 => break,
                count if is_cut => traffic.dropped.fetch_add(count as u64, Ordering::Relaxed),
                count if to.write_all(&buffer[..count]).await.is_err() => break,
                count => traffic.forwarded.fetch_add(count as u64, Ordering::Relaxed),
            };
        }
        // Told to the other side now, or the direction back would wait for ever.
        let _ = to.shutdown().await;
    };
    let is_healed = tokio::select! {
        () = carry => false,
        _ = gate.wait_for(|gate| gate.time != time) => true,
    };
    if is_healed {
        // Reset rather than closed: what it carried has holes, and nobody is to take it for whole.
        let _ = from.as_ref().set_zero_linger();
        to.forget();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    const SHORT: Duration = Duration::from_millis(300);
    const LONG: Duration = Duration::from_secs(10);

    /// A listener behind a forwarder, and a connection through it: both its ends.
    async fn wire() -> (Forwarder, TcpListener, TcpStream, TcpStream) {
        let behind = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let forwarder = Forwarder::open().await.unwrap();
        forwarder.lead_to(behind.local_addr().unwrap().port());
        let near = TcpStream::connect(("127.0.0.1", forwarder.port())).await.unwrap();
        let far = behind.accept().await.unwrap().0;
        (forwarder, behind, near, far)
    }

    async fn read(end: &mut TcpStream) -> std::io::Result<Vec<u8>> {
        let mut buffer = [0; 64];
        let count = timeout(LONG, end.read(&mut buffer)).await.expect("it ends")?;
        Ok(buffer[..count].to_vec())
    }

    #[tokio::test]
    async fn bytes_and_ends_go_through() {
        let (forwarder, _behind, mut near, mut far) = wire().await;
        near.write_all(b"there").await.unwrap();
        assert_eq!(read(&mut far).await.unwrap(), b"there");
        far.write_all(b"back").await.unwrap();
        assert_eq!(read(&mut near).await.unwrap(), b"back");
        assert_eq!((forwarder.forwarded(), forwarder.dropped()), (9, 0));
        drop(near);
        assert_eq!(read(&mut far).await.unwrap(), b"");
    }

    #[tokio::test]
    async fn a_cut_wire_is_silent_and_a_healed_one_begins_anew() {
        let (forwarder, behind, mut near, mut far) = wire().await;
        forwarder.cut();
        near.write_all(b"lost").await.unwrap();
        far.write_all(b"lost").await.unwrap();
        let mut late = TcpStream::connect(("127.0.0.1", forwarder.port())).await.unwrap();
        assert!(timeout(SHORT, read(&mut far)).await.is_err(), "bytes came through");
        assert!(timeout(SHORT, behind.accept()).await.is_err(), "a new connection came through");
        assert_eq!((forwarder.forwarded(), forwarder.dropped()), (0, 8));

        // An end that closes is not told either.
        drop(near);
        assert!(timeout(SHORT, read(&mut far)).await.is_err(), "the end came through");

        forwarder.heal();
        assert!(read(&mut far).await.is_err(), "an old connection must be reset");
        assert!(
            !matches!(read(&mut late).await, Ok(bytes) if !bytes.is_empty()),
            "who waited is turned away"
        );
        let mut again = TcpStream::connect(("127.0.0.1", forwarder.port())).await.unwrap();
        let mut new = timeout(LONG, behind.accept()).await.expect("new ones are let in").unwrap().0;
        again.write_all(b"again").await.unwrap();
        assert_eq!(read(&mut new).await.unwrap(), b"again");
    }
}
