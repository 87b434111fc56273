//! A wire that can be cut: a TCP forwarder that drops what it is given while both ends go on believing in it.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

pub(crate) struct Forwarder {
    port: u16,
    cut: Arc<AtomicBool>,
    open: Arc<Mutex<Vec<TcpStream>>>,
}

impl Forwarder {
    /// Forwards from a port of its own to `to`.
    pub(crate) fn start(to: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        let (cut, open) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Vec::new())));
        let forwarder = Self { port, cut: cut.clone(), open: open.clone() };
        thread::spawn(move || {
            for dialled in listener.incoming().flatten() {
                let Ok(onward) = TcpStream::connect(("127.0.0.1", to)) else { continue };
                let ends = [dialled, onward].map(|end| (end.try_clone(), end));
                let [(Ok(from_a), a), (Ok(from_b), b)] = ends else { continue };
                let kept = [a.try_clone(), b.try_clone()].into_iter().flatten();
                open.lock().expect("no thread panics with it").extend(kept);
                let cut_too = cut.clone();
                thread::spawn(move || pump(from_a, b, &cut_too));
                let cut_too = cut.clone();
                thread::spawn(move || pump(from_b, a, &cut_too));
            }
        });
        forwarder
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Swallows everything from now on, both ways, also of new connections.
    pub(crate) fn cut(&self) {
        self.cut.store(true, Ordering::Relaxed);
    }

    /// Forwards again. What lived through the cut lacks bytes and is ended.
    pub(crate) fn heal(&self) {
        for stream in self.open.lock().expect("no thread panics with it").drain(..) {
            // Closed already is what is wanted.
            let _ = stream.shutdown(Shutdown::Both);
        }
        self.cut.store(false, Ordering::Relaxed);
    }
}

fn pump(mut from: TcpStream, mut to: TcpStream, cut: &AtomicBool) {
    let mut buffer = [0; 16 * 1024];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        if !cut.load(Ordering::Relaxed) && to.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
}
