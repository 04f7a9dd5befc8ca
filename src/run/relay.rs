//! A port of this machine's loopback that leads into a container's network, which has nothing but a loopback of its own: so no bridge, no
//! firewall and no other program is needed.
//!
//! In there the server is asked for at another address of the loopback than 127.0.0.1: one that listens on 127.0.0.1 alone does not answer, as
//! it would not answer anybody outside; one that listens on 0.0.0.0 does.

use std::fs::File;
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener};
use std::os::fd::AsFd;
use std::thread::JoinHandle;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tokio::net::TcpStream;
use tokio::sync::oneshot;

use crate::contract;

/// Where the server is asked for.
const INSIDE: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(127, 0, 0, 2), contract::SERVER_PORT);

/// The relay; it ends when it is dropped.
pub struct Relay {
    end: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Relay {
    /// Leads connections that `listener` takes into the network of the process with this number.
    ///
    /// # Errors
    /// A process that is gone, a network that may not be entered.
    pub fn start(listener: &TcpListener, process: u32) -> io::Result<Self> {
        let network = File::open(format!("/proc/{process}/ns/net"))?;
        let listener = listener.try_clone()?;
        let (end, ended) = oneshot::channel();
        let (entered, outcome) = std::sync::mpsc::channel();
        let thread = std::thread::Builder::new().name("relay".to_owned()).spawn(move || {
            // This thread alone moves: its sockets belong to the container's network, the listener stays one of this machine's.
            let moved = move_into_link_name_space(network.as_fd(), Some(LinkNameSpaceType::Network));
            let is_moved = moved.is_ok();
            // Whoever started it waits for this.
            let _ = entered.send(moved);
            if is_moved {
                // A runtime that cannot be made answers nobody, which the steps see.
                let _ = serve(listener, ended);
            }
        })?;
        outcome.recv().map_err(io::Error::other)??;
        Ok(Relay { end: Some(end), thread: Some(thread) })
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Serves until the other end of `ended` is gone.
fn serve(listener: TcpListener, ended: oneshot::Receiver<()>) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        tokio::select! {
            _ = ended => Ok(()),
            outcome = take_all(&listener) => outcome,
        }
    })
}

async fn take_all(listener: &tokio::net::TcpListener) -> io::Result<()> {
    loop {
        let (mut outside, _) = listener.accept().await?;
        tokio::spawn(async move {
            // Where nobody answers inside, the connection ends, as with docker's proxy.
            if let Ok(mut inside) = TcpStream::connect(INSIDE).await {
                let _ = tokio::io::copy_bidirectional(&mut outside, &mut inside).await;
            }
        });
    }
}
