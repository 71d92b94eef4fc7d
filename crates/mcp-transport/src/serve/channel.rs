//! A session's side of a connection that others read and write.

use std::io;

use rmcp::{
    RoleServer,
    model::{ClientJsonRpcMessage, ServerJsonRpcMessage},
    transport::Transport,
};
use tokio::sync::mpsc;

/// Messages that wait to be taken, each way.
const CAPACITY: usize = 64;

/// A transport over two queues. They take boxes, for a queue has the memory of 32 items even when it is empty.
pub(crate) struct Channel {
    incoming: mpsc::Receiver<Box<ClientJsonRpcMessage>>,
    outgoing: mpsc::Sender<Box<ServerJsonRpcMessage>>,
}

/// The connection's side.
pub(crate) struct Ends {
    pub(crate) incoming: mpsc::Sender<Box<ClientJsonRpcMessage>>,
    pub(crate) outgoing: mpsc::Receiver<Box<ServerJsonRpcMessage>>,
    /// For answers that the connection gives itself.
    pub(crate) refusals: mpsc::WeakSender<Box<ServerJsonRpcMessage>>,
}

pub(crate) fn channel() -> (Channel, Ends) {
    let (incoming, messages) = mpsc::channel(CAPACITY);
    let (answers, outgoing) = mpsc::channel(CAPACITY);
    let refusals = answers.downgrade();
    (Channel { incoming: messages, outgoing: answers }, Ends { incoming, outgoing, refusals })
}

impl Transport<RoleServer> for Channel {
    type Error = io::Error;

    fn send(
        &mut self,
        message: ServerJsonRpcMessage,
    ) -> impl Future<Output = io::Result<()>> + Send + 'static {
        let outgoing = self.outgoing.clone();
        async move { outgoing.send(Box::new(message)).await.map_err(|_| io::ErrorKind::BrokenPipe.into()) }
    }

    async fn receive(&mut self) -> Option<ClientJsonRpcMessage> {
        self.incoming.recv().await.map(|message| *message)
    }

    async fn close(&mut self) -> io::Result<()> {
        self.incoming.close();
        Ok(())
    }
}
