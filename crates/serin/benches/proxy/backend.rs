//! Backends: two versions that speak HTTP/1 and one that speaks gRPC. Answers are as large as the path says.

use std::sync::Arc;

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::spawn_local;

/// Paths, and the sizes of their answers.
pub(crate) const SIZES: [(&str, usize); 4] =
    [("/0", 0), ("/1k", 1024), ("/64k", 64 * 1024), ("/10m", 10 * 1024 * 1024)];

/// Serves until it is killed. The first line of its output is the ports.
pub(crate) fn run() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    tokio::task::LocalSet::new().block_on(&runtime, serve())
}

async fn serve() -> anyhow::Result<()> {
    let answers: Arc<Vec<(&[u8], Vec<u8>)>> = Arc::new(
        SIZES
            .iter()
            .map(|(path, size)| {
                let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {size}\r\n\r\n");
                (path.as_bytes(), [head.into_bytes(), vec![b'x'; *size]].concat())
            })
            .collect(),
    );
    let listen = || TcpListener::bind("127.0.0.1:0");
    let (one, two, grpc) = (listen().await?, listen().await?, listen().await?);
    let ports = [&one, &two, &grpc].map(|it| it.local_addr().map_or(0, |it| it.port()));
    println!("{} {} {}", ports[0], ports[1], ports[2]);
    spawn_local(accept_http1(one, Arc::clone(&answers)));
    spawn_local(accept_http1(two, answers));
    loop {
        let (stream, _) = grpc.accept().await?;
        stream.set_nodelay(true)?;
        spawn_local(serve_grpc(stream));
    }
}

type Answers = Arc<Vec<(&'static [u8], Vec<u8>)>>;

async fn accept_http1(listener: TcpListener, answers: Answers) {
    while let Ok((stream, _)) = listener.accept().await {
        if stream.set_nodelay(true).is_ok() {
            spawn_local(serve_http1(stream, Arc::clone(&answers)));
        }
    }
}

async fn serve_http1(mut stream: TcpStream, answers: Answers) {
    let mut buffer = vec![0; 4096];
    let mut filled = 0;
    while let Ok(count @ 1..) = stream.read(&mut buffer[filled..]).await {
        filled += count;
        if !buffer[..filled].ends_with(b"\r\n\r\n") {
            continue;
        }
        let path = buffer[..filled].split(|&byte| byte == b' ').nth(1).unwrap_or_default();
        let Some((_, answer)) = answers.iter().find(|(known, _)| *known == path) else { return };
        if stream.write_all(answer).await.is_err() {
            return;
        }
        filled = 0;
    }
}

async fn serve_grpc(stream: TcpStream) {
    let Ok(mut connection) = h2::server::handshake(stream).await else { return };
    while let Some(Ok((request, mut respond))) = connection.accept().await {
        spawn_local(async move {
            let mut body = request.into_body();
            while let Some(Ok(piece)) = body.data().await {
                let _ = body.flow_control().release_capacity(piece.len());
            }
            let head = http::Response::builder().header("content-type", "application/grpc");
            let Ok(mut send) = respond.send_response(head.body(()).unwrap_or_default(), false)
            else {
                return;
            };
            let message = Bytes::from_static(b"\0\0\0\0\x05hello");
            let mut trailers = http::HeaderMap::new();
            trailers.insert("grpc-status", http::HeaderValue::from_static("0"));
            let _ = send.send_data(message, false).and_then(|()| send.send_trailers(trailers));
        });
    }
}
