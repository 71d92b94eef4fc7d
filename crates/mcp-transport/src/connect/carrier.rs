//! What carries whole messages, both ways at the same time; and rmcp's view of it.

use std::time::Duration;

use rmcp::{
    RoleClient,
    model::{
        ClientJsonRpcMessage, ClientNotification, ClientRequest, ErrorCode, ErrorData, RequestId,
        ServerJsonRpcMessage,
    },
    transport::Transport,
};
use tokio::sync::mpsc;

use super::{
    incoming::Incoming,
    link::{Kind, LinkError, Outbox},
    message,
    watched::Ending,
};

/// How long somebody who hung up may take to be seen as gone.
pub(crate) const FAREWELL: Duration = Duration::from_millis(500);

/// A connection to one server that carries messages as text.
pub(crate) trait Carrier: Send + 'static {
    /// Where messages to the server go.
    fn outbox(&self) -> &Outbox;
    /// The next message of the server; `None` when the connection has ended. May be dropped at any time.
    fn next(&mut self) -> impl Future<Output = Option<Incoming>> + Send;
    /// What the server did, if that is why the connection has ended.
    fn reason(&self) -> Option<String>;
    /// Ends the connection and waits until nothing is left of it.
    fn close(&mut self) -> impl Future<Output = ()> + Send;
}

/// A carrier of rmcp's messages.
pub(super) struct Typed<C> {
    carrier: C,
    /// Answers that we give in the place of the server.
    own: (mpsc::Sender<ServerJsonRpcMessage>, mpsc::Receiver<ServerJsonRpcMessage>),
}

impl<C: Carrier> Typed<C> {
    pub(super) fn new(carrier: C) -> Self {
        Self { carrier, own: mpsc::channel(1) }
    }
}

impl<C: Carrier> Ending for Typed<C> {
    fn reason(&self) -> Option<String> {
        self.carrier.reason()
    }
}

impl<C: Carrier> Transport<RoleClient> for Typed<C> {
    type Error = LinkError;

    fn send(
        &mut self,
        message: ClientJsonRpcMessage,
    ) -> impl Future<Output = Result<(), LinkError>> + Send + 'static {
        let kind = kind(&message);
        let sending = serde_json::to_vec(&message).map(|text| self.carrier.outbox().send(text.into(), kind));
        let (own, instead) = (self.own.0.clone(), refused_discover(&message));
        async move {
            match (sending.map_err(LinkError::Json)?.await, instead) {
                (Err(error), Some(answer)) if error.is_older_era() => {
                    own.send(answer).await.map_err(|_| LinkError::Closed)
                }
                (sent, _) => sent,
            }
        }
    }

    async fn receive(&mut self) -> Option<ServerJsonRpcMessage> {
        loop {
            let incoming = tokio::select! {
                answer = self.own.1.recv() => return answer,
                incoming = self.carrier.next() => incoming?,
            };
            let message = match incoming {
                Incoming::Message(text) => message::read(&text),
                Incoming::TooLong { limit, answers } => {
                    let id = answers.and_then(|id| id.as_raw().parse::<RequestId>().ok());
                    let error =
                        message::unreadable(format!("the server's answer has more than {limit} bytes"));
                    id.map(|id| ServerJsonRpcMessage::error(error, Some(id)))
                }
            };
            if message.is_some() {
                return message;
            }
        }
    }

    async fn close(&mut self) -> Result<(), LinkError> {
        self.carrier.close().await;
        Ok(())
    }
}

fn kind(message: &ClientJsonRpcMessage) -> Kind {
    let number = |id: &RequestId| match id {
        RequestId::Number(number) => u64::try_from(*number).ok(),
        RequestId::String(_) => None, // ours are numbers
    };
    match message {
        ClientJsonRpcMessage::Request(request) => number(&request.id).map_or(Kind::Other, Kind::Request),
        ClientJsonRpcMessage::Notification(notification) => match &notification.notification {
            ClientNotification::CancelledNotification(cancelled) => {
                cancelled.params.request_id.as_ref().and_then(number).map_or(Kind::Other, Kind::Cancels)
            }
            _ => Kind::Other,
        },
        _ => Kind::Other,
    }
}

/// The answer of a server that refuses the question for its era by status: it does not know the question.
fn refused_discover(message: &ClientJsonRpcMessage) -> Option<ServerJsonRpcMessage> {
    let ClientJsonRpcMessage::Request(request) = message else { return None };
    let ClientRequest::DiscoverRequest(_) = &request.request else { return None };
    let error = ErrorData::new(ErrorCode::METHOD_NOT_FOUND, "server/discover was refused", None);
    Some(ServerJsonRpcMessage::error(error, Some(request.id.clone())))
}
