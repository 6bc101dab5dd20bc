//! The network of a pod: its addresses on `lo`, and every connection to elsewhere led to the proxy.
//!
//! Only `lo` is up. The default route leads to it, so that connections to any address begin; a rule in the `output` hook then
//! redirects them to the port where the proxy listens inside of the namespace. What is not TCP goes nowhere.

use std::io;
use std::net::Ipv4Addr;

use rustix::net::netlink::NETFILTER;

use super::netlink::{ACK, APPEND, Batch, Bytes, CREATE};

/// Index of `lo`: the first device of every namespace.
const LOOPBACK: i32 = 1;
const TABLE: &str = "serin";
const CHAIN: &str = "output";

/// How a pod's network is made.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// The pod's own address.
    pub address: Ipv4Addr,
    /// Other addresses that answer inside of the pod: DNS.
    pub local: Vec<Ipv4Addr>,
    /// Where connections to elsewhere arrive.
    pub redirect_to: u16,
}

/// Makes the network of the namespace that this thread is in.
pub(super) fn configure(plan: &Plan) -> io::Result<()> {
    addresses(plan).map_err(|error| context("cannot set up the addresses of a pod", &error))?;
    redirect(plan).map_err(|error| {
        context(
            "cannot redirect a pod's connections (does the kernel have nf_tables with nat?)",
            &error,
        )
    })
}

fn context(what: &str, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{what}: {error}"))
}

fn addresses(plan: &Plan) -> io::Result<()> {
    const NEW_LINK: u16 = 16;
    const NEW_ADDRESS: u16 = 20;
    const NEW_ROUTE: u16 = 24;
    const INET: u8 = 2;
    let index = LOOPBACK.to_ne_bytes();
    let mut batch = Batch::default();
    // family, padding, type, index, flags (up), changed flags
    let mut link = vec![0, 0, 0, 0];
    link.extend(index);
    link.extend(1_u32.to_ne_bytes());
    link.extend(1_u32.to_ne_bytes());
    batch.message(NEW_LINK, ACK, &Bytes::new(&link));
    for address in [plan.address].iter().chain(&plan.local) {
        // family, prefix length, flags, scope (global), index
        let mut head = vec![INET, 32, 0, 0];
        head.extend(index);
        let message =
            Bytes::new(&head).attribute(1, &address.octets()).attribute(2, &address.octets());
        batch.message(NEW_ADDRESS, ACK | CREATE, &message);
    }
    // family, lengths, tos, table main, protocol boot, scope link, unicast, flags
    let route = [INET, 0, 0, 0, 254, 3, 253, 1, 0, 0, 0, 0];
    let message = Bytes::new(&route).attribute(4, &index).attribute(7, &plan.address.octets());
    batch.message(NEW_ROUTE, ACK | CREATE, &message);
    batch.send(None)
}

fn redirect(plan: &Plan) -> io::Result<()> {
    const BEGIN: u16 = 16;
    const END: u16 = 17;
    const NF_TABLES: u16 = 10;
    const NEW_TABLE: u16 = NF_TABLES << 8;
    const NEW_CHAIN: u16 = NEW_TABLE | 3;
    const NEW_RULE: u16 = NEW_TABLE | 6;
    const IPV4: [u8; 4] = [2, 0, 0, 0];
    let [high, low] = NF_TABLES.to_be_bytes();
    let edge = Bytes::new(&[0, 0, high, low]);
    let mut batch = Batch::default();
    batch.message(BEGIN, 0, &edge);
    batch.message(NEW_TABLE, ACK | CREATE, &Bytes::new(&IPV4).text(1, TABLE));
    // The hook of connections that begin here, where destinations are changed.
    let hook = Bytes::default().number(1, 3).attribute(2, &(-100_i32).to_be_bytes());
    let chain = Bytes::new(&IPV4)
        .text(1, TABLE)
        .text(3, CHAIN)
        .nested(4, &hook)
        .number(5, 1)
        .text(7, "nat");
    batch.message(NEW_CHAIN, ACK | CREATE, &chain);
    let mut rules = vec![destination(&[127])];
    rules.extend([plan.address].iter().chain(&plan.local).map(|ip| destination(&ip.octets())));
    rules.push(to_proxy(plan.redirect_to));
    for rule in rules {
        let message = Bytes::new(&IPV4).text(1, TABLE).text(2, CHAIN).nested(4, &rule);
        batch.message(NEW_RULE, ACK | CREATE | APPEND, &message);
    }
    batch.message(END, 0, &edge);
    batch.send(Some(NETFILTER))
}

const REGISTER: u32 = 1;

fn expression(list: Bytes, name: &str, data: &Bytes) -> Bytes {
    list.nested(1, &Bytes::default().text(1, name).nested(2, data))
}

/// `register == value`, or the rule ends here.
fn equals(list: Bytes, value: &[u8]) -> Bytes {
    let value = Bytes::default().attribute(1, value);
    expression(list, "cmp", &Bytes::default().number(1, REGISTER).number(2, 0).nested(3, &value))
}

/// Connections whose destination begins with these bytes stay as they are.
fn destination(begin: &[u8]) -> Bytes {
    const ACCEPT: u32 = 1;
    let length = u32::try_from(begin.len()).unwrap_or(4);
    // The destination stands at byte 16 of the network header.
    let load = Bytes::default().number(1, REGISTER).number(2, 1).number(3, 16).number(4, length);
    let list = equals(expression(Bytes::default(), "payload", &load), begin);
    let verdict = Bytes::default().nested(2, &Bytes::default().number(1, ACCEPT));
    expression(list, "immediate", &Bytes::default().number(1, 0).nested(2, &verdict))
}

/// TCP goes to a port of this namespace.
fn to_proxy(port: u16) -> Bytes {
    const L4_PROTOCOL: u32 = 16;
    const TCP: u8 = 6;
    let load = Bytes::default().number(1, REGISTER).number(2, L4_PROTOCOL);
    let list = equals(expression(Bytes::default(), "meta", &load), &[TCP]);
    let port = Bytes::default().attribute(1, &port.to_be_bytes());
    let list =
        expression(list, "immediate", &Bytes::default().number(1, REGISTER).nested(2, &port));
    expression(list, "redir", &Bytes::default().number(1, REGISTER))
}
