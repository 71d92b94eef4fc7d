//! A TCP proxy that can lose answers on their way back.

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
};

/// Stands between a client and a server that may change its address.
pub struct LossyProxy {
    address: SocketAddr,
    state: Arc<State>,
    accepting: JoinHandle<()>,
}

struct State {
    server: Mutex<SocketAddr>,
    losing: watch::Sender<bool>,
    lost: watch::Sender<usize>,
}

impl LossyProxy {
    /// A proxy in front of `server` that loses nothing yet.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn start(server: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let state = Arc::new(State {
            server: Mutex::new(server),
            losing: watch::Sender::new(false),
            lost: watch::Sender::new(0),
        });
        let shared = state.clone();
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let state = shared.clone();
                // A connection that breaks is what this proxy is for.
                tokio::spawn(async move { state.carry(client).await });
            }
        });
        Ok(Self { address, state, accepting })
    }

    /// The URL that clients use.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Whether answers are lost from now on: the first byte of one closes the client's connection instead.
    pub fn lose_answers(&self, losing: bool) {
        self.state.losing.send_replace(losing);
    }

    /// Sends new connections to another server.
    pub fn redirect(&self, server: SocketAddr) {
        *self.state.server.lock().unwrap_or_else(PoisonError::into_inner) = server;
    }

    /// Waits until `count` answers have been held back.
    pub async fn wait_for_losses(&self, count: usize) {
        // The sender lives in `self`, so this cannot fail.
        let _ = self.state.lost.subscribe().wait_for(|lost| *lost >= count).await;
    }
}

impl State {
    async fn carry(&self, mut client: TcpStream) -> io::Result<()> {
        let server = *self.server.lock().unwrap_or_else(PoisonError::into_inner);
        let mut server = TcpStream::connect(server).await?;
        let (mut from_client, mut to_client) = client.split();
        let (mut from_server, mut to_server) = server.split();
        let up = tokio::io::copy(&mut from_client, &mut to_server);
        let down = async {
            let mut buffer = vec![0; 64 << 10];
            loop {
                let read = from_server.read(&mut buffer).await?;
                if *self.losing.borrow() {
                    self.lost.send_modify(|lost| *lost += 1);
                    // Held until answers pass again, so that the client cannot come back too early.
                    let _ = self.losing.subscribe().wait_for(|losing| !losing).await;
                    return Ok(());
                }
                if read == 0 {
                    return Ok(());
                }
                to_client.write_all(&buffer[..read]).await?;
            }
        };
        tokio::select! {
            result = up => result.map(drop),
            result = down => result,
        }
    }
}

impl Drop for LossyProxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}
