//! Backends: two versions that speak HTTP/1 and one that speaks gRPC. Answers are as large as the path says.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Barrier, Mutex, PoisonError};
use std::thread::spawn;

use bytes::Bytes;
use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};

/// Paths, and the sizes of their answers.
pub(crate) const SIZES: [(&str, usize); 4] =
    [("/0", 0), ("/1k", 1024), (TOGETHER, 1024), ("/64k", 64 * 1024)];

/// The path that is answered when it was asked for so many times, and then all of them at once.
pub(crate) const TOGETHER: &str = "/16";
/// How many times that is.
pub(crate) const MANY: usize = 16;

/// The ports of backends that serve until the process ends.
pub(crate) struct Backends {
    pub(crate) one: u16,
    pub(crate) two: u16,
    pub(crate) grpc: u16,
    pub(crate) together: Arc<Together>,
}

/// Lets a proxy find many answers in one turn, however busy the machine is: it is stopped while they are written.
pub(crate) struct Together {
    everybody: Barrier,
    proxy: Mutex<Option<Pid>>,
}

impl Together {
    /// The proxy is this child from now on.
    pub(crate) fn is_for(&self, proxy: Pid) {
        *self.proxy.lock().unwrap_or_else(PoisonError::into_inner) = Some(proxy);
    }

    fn write(&self, write: impl FnOnce()) {
        let proxy = *self.proxy.lock().unwrap_or_else(PoisonError::into_inner);
        if self.everybody.wait().is_leader()
            && let Some(proxy) = proxy
        {
            let _ = kill_process(proxy, Signal::STOP);
            // It goes on for a moment after the signal was sent.
            let _ = waitpid(Some(proxy), WaitOptions::UNTRACED);
        }
        self.everybody.wait();
        write();
        if self.everybody.wait().is_leader()
            && let Some(proxy) = proxy
        {
            let _ = kill_process(proxy, Signal::CONT);
        }
    }
}

impl Backends {
    pub(crate) fn start() -> anyhow::Result<Self> {
        let answers = SIZES.map(|(path, size)| {
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {size}\r\n\r\n");
            (path.as_bytes(), [head.into_bytes(), vec![b'x'; size]].concat())
        });
        let answers: Answers = Arc::from(answers);
        let listen = || TcpListener::bind("127.0.0.1:0");
        let (one, two, grpc) = (listen()?, listen()?, listen()?);
        let port = |it: &TcpListener| it.local_addr().map(|it| it.port());
        let together =
            Arc::new(Together { everybody: Barrier::new(MANY), proxy: Mutex::new(None) });
        let (one_port, two_port, grpc_port) = (port(&one)?, port(&two)?, port(&grpc)?);
        for listener in [one, two] {
            let (answers, together) = (Arc::clone(&answers), Arc::clone(&together));
            spawn(move || {
                for stream in listener.incoming().map_while(Result::ok) {
                    let (answers, together) = (Arc::clone(&answers), Arc::clone(&together));
                    spawn(move || serve_http1(stream, &answers, &together));
                }
            });
        }
        spawn(move || serve_grpc(grpc));
        Ok(Self { one: one_port, two: two_port, grpc: grpc_port, together })
    }
}

type Answers = Arc<[(&'static [u8], Vec<u8>)]>;

fn serve_http1(mut stream: TcpStream, answers: &Answers, together: &Together) {
    let mut buffer = vec![0; 4096];
    let mut filled = 0;
    let _ = stream.set_nodelay(true);
    while let Ok(count @ 1..) = stream.read(buffer.get_mut(filled..).unwrap_or_default()) {
        filled += count;
        let request = buffer.get(..filled).unwrap_or_default();
        if !request.ends_with(b"\r\n\r\n") {
            continue;
        }
        let path = request.split(|&byte| byte == b' ').nth(1).unwrap_or_default();
        let Some((path, answer)) = answers.iter().find(|(known, _)| *known == path) else { return };
        let mut written = Ok(());
        if *path == TOGETHER.as_bytes() {
            together.write(|| written = stream.write_all(answer));
        } else {
            written = stream.write_all(answer);
        }
        if written.is_err() {
            return;
        }
        filled = 0;
    }
}

fn serve_grpc(listener: TcpListener) -> anyhow::Result<()> {
    listener.set_nonblocking(true)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    tokio::task::LocalSet::new().block_on(&runtime, async {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            tokio::task::spawn_local(serve_grpc_on(stream));
        }
    })
}

async fn serve_grpc_on(stream: tokio::net::TcpStream) {
    let Ok(mut connection) = h2::server::handshake(stream).await else { return };
    while let Some(Ok((request, mut respond))) = connection.accept().await {
        tokio::task::spawn_local(async move {
            let mut body = request.into_body();
            while let Some(Ok(piece)) = body.data().await {
                let _ = body.flow_control().release_capacity(piece.len());
            }
            let head = http::Response::builder().header("content-type", "application/grpc");
            let head = head.body(()).unwrap_or_default();
            let Ok(mut send) = respond.send_response(head, false) else { return };
            let message = Bytes::from_static(b"\0\0\0\0\x05hello");
            let mut trailers = http::HeaderMap::new();
            trailers.insert("grpc-status", http::HeaderValue::from_static("0"));
            let _ = send.send_data(message, false).and_then(|()| send.send_trailers(trailers));
        });
    }
}
