//! DNS of the cluster: every pod asks at the same address, on sockets that were opened inside of its own network.
//!
//! Names of the cluster are answered from a table of Services and their endpoints, all others are asked of the host's servers.

mod answer;
mod forward;
mod message;
mod table;
mod watch;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, RwLock};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::Semaphore;
use tokio::task::AbortHandle;

use self::answer::Verdict;
use self::forward::Servers;
use self::table::Table;
use crate::sandbox::Sandbox;

/// The port of DNS.
const PORT: u16 = 53;
/// How long a connection may be idle.
const IDLE: Duration = Duration::from_secs(10);
/// How many questions of one pod are asked of other servers at once; more wait.
const FORWARDED: usize = 64;

/// The names of the cluster.
#[derive(Debug)]
pub(crate) struct Dns {
    table: RwLock<Table>,
    servers: Servers,
}

/// The sockets of one pod; they close when it is dropped.
#[derive(Debug)]
pub(crate) struct Served {
    tasks: Vec<AbortHandle>,
}

impl Drop for Served {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

impl Dns {
    /// Begins to keep the table.
    pub(crate) fn start(client: &kube::Client, domain: &str) -> Arc<Self> {
        let dns =
            Arc::new(Self { table: RwLock::new(Table::new(domain)), servers: Servers::of_host() });
        watch::start(client, &dns);
        dns
    }

    /// Answers the questions of a pod.
    pub(crate) async fn serve(
        self: &Arc<Self>,
        sandbox: &Sandbox,
        address: Ipv4Addr,
    ) -> io::Result<Served> {
        let address = SocketAddr::from((address, PORT));
        let (udp, tcp) = sandbox
            .run(move || {
                let udp = std::net::UdpSocket::bind(address)?;
                let tcp = std::net::TcpListener::bind(address)?;
                udp.set_nonblocking(true)?;
                tcp.set_nonblocking(true)?;
                io::Result::Ok((udp, tcp))
            })
            .await??;
        let (udp, tcp) = (Arc::new(UdpSocket::from_std(udp)?), TcpListener::from_std(tcp)?);
        let limit = Arc::new(Semaphore::new(FORWARDED));
        let tasks = [
            tokio::spawn(datagrams(Arc::clone(self), udp, Arc::clone(&limit))),
            tokio::spawn(connections(Arc::clone(self), tcp, limit)),
        ];
        Ok(Served { tasks: tasks.iter().map(tokio::task::JoinHandle::abort_handle).collect() })
    }

    fn look_up(&self, question: &[u8]) -> Verdict {
        let table = self.table.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        answer::answer(&table, question)
    }

    async fn elsewhere(&self, question: &[u8], stream: bool) -> Option<Vec<u8>> {
        match self.servers.ask(question, stream).await {
            Some(answer) => Some(answer),
            None => message::refuse(question, message::SERVER_FAILURE),
        }
    }
}

async fn datagrams(dns: Arc<Dns>, socket: Arc<UdpSocket>, limit: Arc<Semaphore>) {
    let mut buffer = vec![0; 4096];
    loop {
        let Ok((length, from)) = socket.recv_from(&mut buffer).await else {
            // An error that belongs to an answer nobody took.
            tokio::task::yield_now().await;
            continue;
        };
        let question = buffer.get(..length).unwrap_or_default();
        match dns.look_up(question) {
            Verdict::Answer(answer) => {
                let answer = message::fit(answer, message::room(question));
                // Who has gone needs no answer.
                let _ = socket.send_to(&answer, from).await;
            }
            Verdict::Elsewhere => {
                let Ok(permit) = Arc::clone(&limit).acquire_owned().await else { return };
                let (dns, socket, question) =
                    (Arc::clone(&dns), Arc::clone(&socket), question.to_vec());
                tokio::spawn(async move {
                    if let Some(answer) = dns.elsewhere(&question, false).await {
                        let _ = socket.send_to(&answer, from).await;
                    }
                    drop(permit);
                });
            }
            Verdict::Ignore => {}
        }
    }
}

async fn connections(dns: Arc<Dns>, listener: TcpListener, limit: Arc<Semaphore>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let Ok(permit) = Arc::clone(&limit).acquire_owned().await else { return };
        let dns = Arc::clone(&dns);
        tokio::spawn(async move {
            // A client that breaks off is no matter.
            let _ = connection(&dns, stream).await;
            drop(permit);
        });
    }
}

async fn connection(dns: &Dns, mut stream: TcpStream) -> io::Result<()> {
    loop {
        let length = match tokio::time::timeout(IDLE, stream.read_u16()).await {
            Ok(length) => usize::from(length?),
            Err(_) => return Ok(()),
        };
        let mut question = vec![0; length];
        tokio::time::timeout(IDLE, stream.read_exact(&mut question))
            .await
            .map_err(|_| io::ErrorKind::TimedOut)??;
        let answer = match dns.look_up(&question) {
            Verdict::Answer(answer) => Some(answer),
            Verdict::Elsewhere => dns.elsewhere(&question, true).await,
            Verdict::Ignore => None,
        };
        let Some(answer) = answer else { return Ok(()) };
        let length = u16::try_from(answer.len()).map_err(io::Error::other)?;
        stream.write_all(&[&length.to_be_bytes()[..], &answer].concat()).await?;
    }
}
