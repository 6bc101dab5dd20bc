//! Questions about other names: asked of the servers that the host asks.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};

/// How long a server may take before the next one is asked.
const PATIENCE: Duration = Duration::from_secs(2);

/// The servers of the host.
#[derive(Debug)]
pub(super) struct Servers(Vec<SocketAddr>);

impl Servers {
    /// As `/etc/resolv.conf` names them.
    pub(super) fn of_host() -> Self {
        let text = fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
        let address = |line: &str| -> Option<IpAddr> {
            line.strip_prefix("nameserver")?.split_whitespace().next()?.parse().ok()
        };
        Self(text.lines().filter_map(address).map(|ip| SocketAddr::new(ip, 53)).collect())
    }

    /// The answer of the first server that gives one.
    pub(super) async fn ask(&self, question: &[u8], stream: bool) -> Option<Vec<u8>> {
        for server in &self.0 {
            let asked = async {
                if stream {
                    by_stream(*server, question).await
                } else {
                    by_datagram(*server, question).await
                }
            };
            match tokio::time::timeout(PATIENCE, asked).await {
                Ok(Ok(answer)) => return Some(answer),
                Ok(Err(error)) => tracing::debug!(%server, %error, "a DNS server did not answer"),
                Err(_) => tracing::debug!(%server, "a DNS server is silent"),
            }
        }
        None
    }
}

async fn by_datagram(server: SocketAddr, question: &[u8]) -> io::Result<Vec<u8>> {
    let any: IpAddr = match server {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => std::net::Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0)).await?;
    socket.connect(server).await?;
    socket.send(question).await?;
    let mut answer = vec![0; 65_535];
    loop {
        let length = socket.recv(&mut answer).await?;
        // Anything else is not what was asked.
        if answer.get(..2) == question.get(..2) {
            answer.truncate(length);
            return Ok(answer);
        }
    }
}

async fn by_stream(server: SocketAddr, question: &[u8]) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(server).await?;
    let length = u16::try_from(question.len()).map_err(io::Error::other)?;
    stream.write_all(&[&length.to_be_bytes()[..], question].concat()).await?;
    let length = stream.read_u16().await?;
    let mut answer = vec![0; usize::from(length)];
    stream.read_exact(&mut answer).await?;
    Ok(answer)
}
