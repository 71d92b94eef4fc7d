//! A session's side of a connection that others read and write.

use std::{io, sync::Arc};

use rmcp::{
    RoleServer,
    model::{ClientJsonRpcMessage, ServerJsonRpcMessage},
    transport::Transport,
};
use tokio::sync::mpsc;

use super::{
    decode::to_text,
    outgoing::{Outflow, Outgoing, outgoing},
};

/// Messages that wait to be taken.
const CAPACITY: usize = 64;

/// Two queues. What came is in boxes, for a queue has the memory of 32 items even when it is empty.
pub(crate) struct Channel<M> {
    pub(crate) incoming: mpsc::Receiver<Box<M>>,
    pub(crate) outgoing: Arc<Outgoing>,
}

/// The connection's side.
pub(crate) struct Ends<M> {
    pub(crate) incoming: mpsc::Sender<Box<M>>,
    pub(crate) outflow: Outflow,
    /// For answers that the connection gives itself.
    pub(crate) refusals: Arc<Outgoing>,
}

pub(crate) fn channel<M>() -> (Channel<M>, Ends<M>) {
    let (incoming, messages) = mpsc::channel(CAPACITY);
    let (outgoing, outflow) = outgoing();
    let ends = Ends { incoming, outflow, refusals: outgoing.clone() };
    (Channel { incoming: messages, outgoing }, ends)
}

impl<M> Drop for Channel<M> {
    fn drop(&mut self) {
        self.outgoing.close();
    }
}

impl Transport<RoleServer> for Channel<ClientJsonRpcMessage> {
    type Error = io::Error;

    fn send(
        &mut self,
        message: ServerJsonRpcMessage,
    ) -> impl Future<Output = io::Result<()>> + Send + 'static {
        let (text, outgoing) = (to_text(&message), self.outgoing.clone());
        async move { outgoing.push(text?).await.map_err(|_| io::ErrorKind::BrokenPipe.into()) }
    }

    async fn receive(&mut self) -> Option<ClientJsonRpcMessage> {
        self.incoming.recv().await.map(|message| *message)
    }

    async fn close(&mut self) -> io::Result<()> {
        self.incoming.close();
        Ok(())
    }
}
