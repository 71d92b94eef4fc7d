//! What stands before the MCP server: it looks at every request of every transport, and lets those with a token through.

use std::{io, net::SocketAddr};

use serde_json::json;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader, copy_bidirectional},
    net::{TcpListener, TcpStream, tcp::OwnedReadHalf},
};

use super::Issuer;

pub async fn start(server: SocketAddr, issuer: Issuer) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let issuer = issuer.clone();
            // A client may hang up at any time.
            tokio::spawn(async move { carry(client, server, port, &issuer).await });
        }
    });
    port
}

/// One connection: requests are read one after the other, answers of the server are passed on as they come.
async fn carry(client: TcpStream, server: SocketAddr, port: u16, issuer: &Issuer) -> io::Result<()> {
    client.set_nodelay(true)?;
    let (from_client, mut to_client) = client.into_split();
    let mut from_client = BufReader::new(from_client);
    let first = loop {
        let request = Request::read(&mut from_client).await?;
        match refusal(&request, port, issuer) {
            Some(answer) => to_client.write_all(answer.as_bytes()).await?,
            None => break request,
        }
    };
    let (mut from_server, mut to_server) = TcpStream::connect(server).await?.into_split();
    if first.head.to_ascii_lowercase().contains("upgrade: websocket") {
        to_server.write_all(first.bytes().as_slice()).await?;
        let mut client = from_client.into_inner().reunite(to_client).unwrap();
        let mut server = from_server.reunite(to_server).unwrap();
        copy_bidirectional(&mut client, &mut server).await?;
        return Ok(());
    }
    // The client sends a request only when it has the whole answer to the last one, so refusals do not come in between.
    let to_client = tokio::sync::Mutex::new(to_client);
    let answers = async {
        let mut chunk = vec![0; 16 << 10];
        loop {
            match from_server.read(&mut chunk).await? {
                0 => return io::Result::Ok(()),
                read => to_client.lock().await.write_all(&chunk[..read]).await?,
            }
        }
    };
    let requests = async {
        let mut request = first;
        loop {
            match refusal(&request, port, issuer) {
                Some(answer) => to_client.lock().await.write_all(answer.as_bytes()).await?,
                None => to_server.write_all(&request.bytes()).await?,
            }
            request = Request::read(&mut from_client).await?;
        }
    };
    tokio::select! {
        ended = answers => ended,
        ended = requests => ended,
    }
}

struct Request {
    head: String,
    body: Vec<u8>,
}

impl Request {
    async fn read(from: &mut BufReader<OwnedReadHalf>) -> io::Result<Self> {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if from.read_line(&mut head).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        let mut body = vec![0; header(&head, "content-length").map_or(0, |length| length.parse().unwrap())];
        from.read_exact(&mut body).await?;
        Ok(Self { head, body })
    }

    fn bytes(&self) -> Vec<u8> {
        [self.head.as_bytes(), &self.body].concat()
    }
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

/// The gate's own answer; `None` lets the request through.
fn refusal(request: &Request, port: u16, issuer: &Issuer) -> Option<String> {
    let path = request.head.split(' ').nth(1).unwrap();
    let origin = format!("http://127.0.0.1:{port}");
    if let Some(path) = path.strip_prefix("/.well-known/oauth-protected-resource") {
        let metadata = json!({
            "resource": format!("{origin}{path}"),
            "authorization_servers": [issuer.url()],
            "scopes_supported": ["notes:read"],
        });
        return Some(answer("200 OK", "", &metadata.to_string()));
    }
    if path.starts_with("/.well-known/") {
        return Some(answer("404 Not Found", "", "{}"));
    }
    let token = header(&request.head, "authorization").and_then(|value| value.strip_prefix("Bearer "));
    // The messages of HTTP+SSE go to another path, but belong to the same server.
    let resource = path.replace("/message", "/sse");
    let resource = resource.split('?').next().unwrap();
    let metadata = format!(r#"resource_metadata="{origin}/.well-known/oauth-protected-resource{resource}""#);
    let body = String::from_utf8_lossy(&request.body);
    let method = request.head.split(' ').next().unwrap();
    let scopes = issuer.scopes_of(token).filter(|_| !issuer.refuses(method));
    match scopes {
        None => {
            if token.is_some() {
                issuer.refused();
            }
            let challenge = format!("WWW-Authenticate: Bearer error=\"invalid_token\", {metadata}\r\n");
            Some(answer("401 Unauthorized", &challenge, "{}"))
        }
        Some(scopes) if body.contains("\"write\"") && !scopes.contains("notes:write") => {
            let challenge = format!(
                "WWW-Authenticate: Bearer error=\"insufficient_scope\", scope=\"notes:write\", {metadata}\r\n"
            );
            Some(answer("403 Forbidden", &challenge, "{}"))
        }
        Some(_) => None,
    }
}

fn answer(status: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\n{headers}Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    )
}
