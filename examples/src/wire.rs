//! A wire that can be cut.

use std::{io, net::Ipv4Addr};

use mcp_transport::Address;
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::broadcast,
    task::JoinHandle,
};

/// A connection between a client and a server that can be cut, as networks do it.
pub struct Wire {
    port: u16,
    cuts: broadcast::Sender<()>,
    carrying: JoinHandle<()>,
}

impl Wire {
    /// A wire to the server on this port.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn to(server: u16) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let (port, cuts) = (listener.local_addr()?.port(), broadcast::Sender::new(1));
        let cut = cuts.clone();
        let carrying = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(carry(client, server, cut.subscribe())); // it ends with its connection
            }
        });
        Ok(Self { port, cuts, carrying })
    }

    /// Where the server is, through this wire.
    #[must_use]
    pub fn address(&self) -> Address {
        format!("127.0.0.1:{}", self.port).parse().expect("a host and a port are an address")
    }

    /// Breaks all connections that there are. New ones can be made at once.
    pub fn cut(&self) {
        let _ = self.cuts.send(()); // without a connection there is nothing to break
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.carrying.abort();
    }
}

async fn carry(mut client: TcpStream, server: u16, mut cut: broadcast::Receiver<()>) -> io::Result<()> {
    let mut server = TcpStream::connect((Ipv4Addr::LOCALHOST, server)).await?;
    tokio::select! {
        carried = copy_bidirectional(&mut client, &mut server) => carried.map(drop),
        _ = cut.recv() => Ok(()),
    }
}
