//! What a node is started with.

use std::fmt;
use std::future::Future;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;

use crate::kubelet::Kubelet;

/// Names the arguments with which the program stands in for a well-known image, if it does.
pub type StandIn = Arc<dyn Fn(&str) -> Option<Vec<String>> + Send + Sync>;

/// Waits until nobody sends requests to a pod any more. The node waits for it before it stops a deleted pod, and for no longer than
/// [`Settings::drain_limit`] or the pod's grace period.
pub type BeforeStop =
    Arc<dyn Fn(Leaving) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

/// A pod that is about to be stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leaving {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its ID.
    pub uid: String,
    /// Its address.
    pub address: Option<IpAddr>,
}

/// What a node is started with.
#[derive(Clone)]
pub struct Settings {
    /// The folder for volumes, logs and images.
    pub data_dir: PathBuf,
    /// The API.
    pub client: kube::Client,
    /// The node's name.
    pub name: String,
    /// Addresses of pods: the network and the length of its prefix.
    pub pods: (Ipv4Addr, u8),
    /// The address of DNS, inside of every pod.
    pub dns: Ipv4Addr,
    /// The domain that names of Services end with.
    pub domain: String,
    /// The node's address, as `status.hostIP` tells it.
    pub address: IpAddr,
    /// The port inside of every pod to which connections to elsewhere are led.
    pub proxy_port: u16,
    /// The program that runs [`crate::init::run`], and the stand-ins.
    pub program: PathBuf,
    /// Programs that run for images: a pattern (`*` is anything) and a command line, the first that fits.
    pub images: Vec<(String, String)>,
    /// Stand-ins for well-known images.
    pub stand_in: Option<StandIn>,
    /// See [`BeforeStop`].
    pub before_stop: Option<BeforeStop>,
    /// The longest wait of [`BeforeStop`].
    pub drain_limit: std::time::Duration,
    /// The services that the node answers from when it has started.
    pub kubelet: Kubelet,
}

impl Settings {
    /// The usual settings: node `serin`, pods in 10.244.0.0/16, DNS at 10.96.0.10 for `cluster.local`.
    pub fn new(data_dir: PathBuf, client: kube::Client, program: PathBuf) -> Self {
        Self {
            data_dir,
            client,
            name: "serin".to_owned(),
            pods: (Ipv4Addr::new(10, 244, 0, 0), 16),
            dns: Ipv4Addr::new(10, 96, 0, 10),
            domain: "cluster.local".to_owned(),
            address: IpAddr::V4(Ipv4Addr::LOCALHOST),
            proxy_port: 15001,
            program,
            images: Vec::new(),
            stand_in: None,
            before_stop: None,
            drain_limit: std::time::Duration::from_secs(5),
            kubelet: Kubelet::new(),
        }
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("data_dir", &self.data_dir)
            .field("name", &self.name)
            .field("pods", &self.pods)
            .field("images", &self.images)
            .finish_non_exhaustive()
    }
}
