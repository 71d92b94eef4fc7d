use rmcp::model::{ArgumentInfo, CompleteRequestParams, Reference};
use serde_json::json;
use upstream::{Abilities, CallOptions, Status};

use crate::{
    host::person,
    support::{Server, call, object, options, soon, upstream, ways},
};

#[tokio::test]
async fn everything_is_asked_over_every_transport_in_both_eras() {
    let server = Server::start();
    server.state.offer(25);
    for (address, era) in ways(server.port) {
        let (host, mut heard) = person(Abilities::default());
        let upstream = upstream(address.clone(), options(era), host);
        assert!(matches!(*upstream.status().borrow(), Status::Idle));
        let introduction = soon(upstream.connect()).await.unwrap();
        assert_eq!(introduction.server.as_ref().unwrap().name, "fixture", "{address} {era:?}");
        assert_eq!(introduction.instructions.as_deref(), Some("be kind"));
        heard.connected().await;

        assert_eq!(upstream.tools().await.unwrap().len(), 25);
        assert_eq!(upstream.resources().await.unwrap()[0].uri, "test://one");
        assert_eq!(upstream.prompts().await.unwrap()[0].name, "greet");
        assert!(upstream.resource_templates().await.unwrap().is_empty());
        assert_eq!(call(&upstream, "echo", json!({"text": "hello"})).await.unwrap(), "hello");
        let read = upstream.read_resource("test://one", CallOptions::default()).await.unwrap();
        assert_eq!(read.contents.len(), 1);
        let prompt = upstream.prompt("greet", object(json!({"a": "b"})), CallOptions::default()).await;
        assert_eq!(prompt.unwrap().messages.len(), 1);
        let argument = ArgumentInfo::new("a", "");
        let completed =
            upstream.complete(CompleteRequestParams::new(Reference::for_prompt("greet"), argument));
        assert_eq!(completed.await.unwrap().values, ["completed"]);
        upstream.ping().await.unwrap();

        soon(upstream.close()).await;
        assert!(matches!(*upstream.status().borrow(), Status::Closed));
        assert!(upstream.tools().await.is_err());
    }
}
