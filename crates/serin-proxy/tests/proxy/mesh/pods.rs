//! Pods: network namespaces with an address of their own, whose connections are redirected to the proxy's listener.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serin_proxy::{Namespace, Network, Networks};
use serin_routing::model::EndpointAddress;
use socket2::{Domain, Socket};

/// What a pod's network looks like, as the node makes it: an address on the loopback, a way to everywhere through it, and a rule
/// that sends what is not for the pod itself to the proxy.
const SET_UP: &str = r#"set -e
ip link set lo up
ip addr add $ADDRESS/32 dev lo
ip route add default dev lo src $ADDRESS
nft -f - <<RULES
table ip serin {
    chain out {
        type nat hook output priority -100
        ip daddr 127.0.0.0/8 return
        ip daddr $ADDRESS return
        meta l4proto tcp redirect to :15001
    }
}
RULES
echo ready
exec sleep 600"#;

/// What there must be for it.
const POSSIBLE: &str = "unshare --net true && ip -V && nft --version";

/// A network namespace that ends with the test.
#[derive(Debug)]
pub(crate) struct Pod {
    process: Child,
    network: Arc<Namespace>,
    pub(crate) address: IpAddr,
}

impl Pod {
    /// A pod; `None` where namespaces cannot be made, which is told.
    pub(crate) fn start(address: &str) -> Option<Self> {
        let possible = Command::new("sh").args(["-c", POSSIBLE]).output().unwrap();
        if !possible.status.success() {
            let error = String::from_utf8_lossy(&possible.stderr);
            println!("skipped: network namespaces need root, iproute2 and nftables: {error}");
            return None;
        }
        let mut process = Command::new("unshare")
            .args(["--net", "sh", "-c", SET_UP])
            .env("ADDRESS", address)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n", "the pod's network cannot be made");
        let network = Arc::new(Namespace::of_process(process.id()).unwrap());
        Some(Self { process, network, address: address.parse().unwrap() })
    }

    pub(crate) fn network(&self) -> Arc<dyn Network> {
        Arc::clone(&self.network) as Arc<dyn Network>
    }

    fn socket(&self) -> Socket {
        Socket::from(self.network.socket(Domain::IPV4).unwrap())
    }

    /// What a process of the pod listens on.
    pub(crate) fn listen(&self, port: u16) -> TcpListener {
        let socket = self.socket();
        socket.bind(&SocketAddr::new(self.address, port).into()).unwrap();
        socket.listen(64).unwrap();
        socket.into()
    }

    /// What a process of the pod connects to.
    pub(crate) fn connect(&self, to: &str) -> io::Result<TcpStream> {
        let to: SocketAddr = to.parse().unwrap();
        let socket = self.socket();
        socket.set_read_timeout(Some(Duration::from_secs(20)))?;
        socket.connect(&to.into())?;
        Ok(socket.into())
    }

    /// Sends a request to an address from inside the pod, and reads the answer to its end.
    pub(crate) fn ask(&self, to: &str, request: &str) -> String {
        let mut stream = self.connect(to).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).into_owned()
    }
}

impl Drop for Pod {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Which pods there are, as the node knows it. Theirs is all of 10.0.0.0/8.
#[derive(Debug, Default)]
pub(crate) struct Directory {
    networks: Mutex<BTreeMap<IpAddr, Arc<dyn Network>>>,
    /// Services, and an endpoint of each.
    services: Mutex<BTreeMap<SocketAddr, SocketAddr>>,
}

impl Directory {
    pub(crate) fn add(&self, pod: &Pod) {
        self.networks.lock().unwrap().insert(pod.address, pod.network());
    }

    pub(crate) fn remove(&self, pod: &Pod) {
        self.networks.lock().unwrap().remove(&pod.address);
    }

    pub(crate) fn add_service(&self, service: &str, endpoint: SocketAddr) {
        self.services.lock().unwrap().insert(service.parse().unwrap(), endpoint);
    }
}

impl Networks for Directory {
    fn network_of(&self, address: IpAddr) -> Option<Arc<dyn Network>> {
        self.networks.lock().unwrap().get(&address).cloned()
    }

    fn owns(&self, address: IpAddr) -> bool {
        matches!(address, IpAddr::V4(address) if address.octets()[0] == 10)
    }

    fn behind(&self, service: &EndpointAddress) -> Option<SocketAddr> {
        let EndpointAddress::Socket(ip, port) = service else { return None };
        self.services.lock().unwrap().get(&SocketAddr::new(*ip, *port)).copied()
    }
}
