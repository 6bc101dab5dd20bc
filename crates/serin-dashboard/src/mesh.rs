//! What the dashboard asks of the mesh beside the API: what proxies have counted and seen, and by what they decide.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use serde::Serialize;
use serin_api::{Finding, ObjectRef};
use serin_routing::Model;
use serin_telemetry::Traffic;

/// A mesh that runs. Every answer is of now.
pub trait Mesh: Send + Sync + 'static {
    /// What went from whom to whom so far; numbers only grow. Asked once a second.
    ///
    /// # Errors
    /// Why nobody can tell at present, in a sentence.
    fn traffic(&self) -> BoxFuture<'_, Result<Vec<Traffic>, String>>;

    /// A sample of the latest requests, the latest last; `None` where proxies do not tell of single requests.
    fn requests(&self) -> BoxFuture<'_, Option<Vec<Request>>>;

    /// How often each rule took a request so far; `None` where proxies do not tell.
    fn hits(&self) -> BoxFuture<'_, Option<BTreeMap<Rule, u64>>>;

    /// How many proxies decide by an object; `None` for one that was not given to any, and where nobody can tell.
    fn live(&self, object: &ObjectRef) -> Option<Live>;

    /// What is wrong or worth knowing about the objects together. The same list, by address, while nothing has changed.
    fn findings(&self) -> Arc<Vec<Finding>>;

    /// Whoever sends requests: gateways first, then one entry for each workload.
    fn senders(&self) -> Vec<Sender>;

    /// What a sender decides by; `None` for one that is not there.
    fn model(&self, sender: &str) -> Option<Arc<Model>>;

    /// The way of a request.
    ///
    /// # Errors
    /// What is wrong with the question, in a sentence for whoever asked it.
    fn explain(&self, question: &Question) -> Result<Explained, String>;
}

/// A request that was seen.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Request {
    /// When it began, since the Unix epoch.
    #[serde(skip)]
    pub started: Duration,
    /// Its method.
    pub method: String,
    /// Its authority.
    pub host: String,
    /// Its path, without the query.
    pub path: String,
    /// Status of the answer; 0 if there was none.
    pub status: u16,
    /// Response flags, `-` if there are none.
    pub flags: String,
    /// Where the answer came from, in Envoy's words.
    pub details: String,
    /// From its head to the end of the answer, in milliseconds.
    pub milliseconds: f64,
    /// Tries upstream.
    pub attempts: u32,
    /// Who sent it: a gateway or a pod.
    pub source: String,
    /// The service it went to: `reviews.default:9080`; empty if it went nowhere.
    pub destination: String,
    /// The subset that was chosen, if there are subsets.
    pub subset: String,
    /// Address of the endpoint that answered or was tried last.
    pub endpoint: String,
    /// The rule that took it.
    pub rule: Option<Rule>,
}

/// A rule of an object.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Rule {
    /// Kind of the object: `VirtualService`, `HTTPRoute`…
    pub kind: String,
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// Which rule of it, from 0.
    pub index: Option<u32>,
}

/// Where an object decides.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Live {
    /// The generation that proxies are given.
    pub generation: i64,
    /// Proxies that decide by it.
    pub live: usize,
    /// All proxies.
    pub proxies: usize,
    /// Some of those that do not decide by it yet.
    pub waiting: Vec<String>,
}

/// Whoever sends requests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Sender {
    /// What it is asked by.
    pub key: String,
    /// What people call it: `gateway istio-system/istio-ingressgateway`, `default/productpage-v1`.
    pub name: String,
    /// Whether it is a gateway.
    pub is_gateway: bool,
}

/// A request whose way is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Question {
    /// Key of the sender.
    pub sender: String,
    /// The method.
    pub method: String,
    /// The URL that the client uses.
    pub url: String,
    /// Headers, a line each: `end-user: jason`.
    pub headers: Vec<String>,
}

/// The way of a request.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Explained {
    /// The request in a line.
    pub request: String,
    /// Listener and virtual host, with their names.
    pub way: Vec<(String, String)>,
    /// The rules that were asked, in order; the last one took the request, unless it has a reason against it, too.
    pub rules: Vec<Asked>,
    /// The answer that the proxy gives itself, and why.
    pub answer: Vec<String>,
    /// Whether the request fails.
    pub fails: bool,
    /// The destinations: the share in percent, the name, and what is to be said of it.
    pub destinations: Vec<(f64, String, Vec<String>)>,
    /// What happens to the request on its way.
    pub on_the_way: Vec<String>,
}

/// A rule that was asked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Asked {
    /// Where it comes from.
    pub rule: Rule,
    /// Its name in words.
    pub name: String,
    /// Why it did not take the request; `None` for the one that did.
    pub why_not: Option<String>,
}
