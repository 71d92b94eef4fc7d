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

/// A transport over two queues.
pub(crate) struct Channel {
    incoming: mpsc::Receiver<ClientJsonRpcMessage>,
    outgoing: mpsc::Sender<ServerJsonRpcMessage>,
}

/// The connection's side.
pub(crate) struct Ends {
    pub(crate) incoming: mpsc::Sender<ClientJsonRpcMessage>,
    pub(crate) outgoing: mpsc::Receiver<ServerJsonRpcMessage>,
    /// For answers that the connection gives itself.
    pub(crate) refusals: mpsc::WeakSender<ServerJsonRpcMessage>,
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
        async move { outgoing.send(message).await.map_err(|_| io::ErrorKind::BrokenPipe.into()) }
    }

    async fn receive(&mut self) -> Option<ClientJsonRpcMessage> {
        self.incoming.recv().await
    }

    async fn close(&mut self) -> io::Result<()> {
        self.incoming.close();
        Ok(())
    }
}
