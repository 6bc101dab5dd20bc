//! The way out through a proxy, where the environment names one: `HTTPS_PROXY` and `NO_PROXY`, in capitals or not, as Go's programs (and
//! with them container engines) read them.

use std::io;
use std::net::IpAddr;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::Uri;
use percent_encoding::percent_decode_str;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// The longest answer to `CONNECT`.
const HEAD: usize = 8 << 10;

/// A proxy, and who is asked without it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Proxy {
    /// Host and port.
    at: Option<(String, u16)>,
    /// `user:password` in base64.
    login: Option<String>,
    without: Vec<String>,
}

impl Proxy {
    /// The proxy that the environment names.
    pub(super) fn of_environment() -> Self {
        let read = |name: &str| {
            let names = [name.to_owned(), name.to_ascii_lowercase()];
            names.into_iter().find_map(|it| std::env::var(it).ok().filter(|it| !it.is_empty()))
        };
        Self::new(&read("HTTPS_PROXY").unwrap_or_default(), &read("NO_PROXY").unwrap_or_default())
    }

    /// The proxy of an address, which may leave out `http://`. One that cannot be used is none, which is told.
    fn new(address: &str, without: &str) -> Self {
        if address.is_empty() {
            return Self::default();
        }
        let full =
            if address.contains("://") { address.into() } else { format!("http://{address}") };
        let uri: Option<Uri> = full.parse().ok().filter(|it: &Uri| it.scheme_str() == Some("http"));
        let Some((uri, host)) = uri.as_ref().and_then(|it| Some((it, it.host()?))) else {
            tracing::warn!(
                "HTTPS_PROXY is no address http://HOST:PORT: registries are asked without it"
            );
            return Self::default();
        };
        let user = uri.authority().and_then(|it| it.as_str().rsplit_once('@'));
        let login = user
            .map(|(user, _)| BASE64_STANDARD.encode(percent_decode_str(user).collect::<Vec<u8>>()));
        let without = without.split(',').map(|it| it.trim().to_ascii_lowercase());
        Self {
            at: Some((bare(host).to_owned(), uri.port_u16().unwrap_or(80))),
            login,
            without: without.filter(|it| !it.is_empty()).collect(),
        }
    }

    /// Connects to a host: through the proxy, if that is for it.
    pub(super) async fn connect(&self, host: &str, port: u16) -> io::Result<TcpStream> {
        let through = self.at.as_ref().filter(|_| !self.is_without(host, port));
        let Some((proxy, at)) = through else { return TcpStream::connect((host, port)).await };
        let wrong = |what: String| io::Error::other(format!("the proxy {proxy}:{at} {what}"));
        let stream = TcpStream::connect((proxy.as_str(), *at)).await;
        let mut stream = stream.map_err(|error| wrong(format!("cannot be reached: {error}")))?;
        let authority =
            if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
        let login = self.login.as_ref();
        let login = login.map(|it| format!("Proxy-Authorization: Basic {it}\r\n"));
        let request = format!(
            "CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n{}\r\n",
            login.unwrap_or_default()
        );
        stream.write_all(request.as_bytes()).await?;
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            if head.len() >= HEAD {
                return Err(wrong("answers without an end".to_owned()));
            }
            // One by one: what follows the head belongs to the host.
            head.push(stream.read_u8().await?);
        }
        let line = head.split(|byte| *byte == b'\r').next().unwrap_or_default();
        let line = String::from_utf8_lossy(line);
        match line.split(' ').nth(1) {
            Some(status) if status.starts_with('2') => Ok(stream),
            _ => Err(wrong(format!("answers {line:?}"))),
        }
    }

    /// Whether a host is asked without the proxy: by its name or the end of it, its address or its network, each with or without port.
    fn is_without(&self, host: &str, port: u16) -> bool {
        let host = host.to_ascii_lowercase();
        let address: Option<IpAddr> = host.parse().ok();
        if host == "localhost" || address.is_some_and(|it| it.is_loopback()) {
            return true;
        }
        self.without.iter().any(|written| {
            let (name, of_port) = match written.rsplit_once(':') {
                Some((name, number)) if !name.contains(':') || name.ends_with(']') => {
                    (bare(name), number.parse().ok())
                }
                _ => (bare(written), None),
            };
            if of_port.is_some_and(|it: u16| it != port) {
                return false;
            }
            let end = name.trim_start_matches('*').trim_start_matches('.');
            let is_within = address.is_some_and(|it| is_in(it, name));
            name == "*"
                || is_within
                || host == end && !name.starts_with('.')
                || host.strip_suffix(end).is_some_and(|it| !end.is_empty() && it.ends_with('.'))
        })
    }
}

fn bare(host: &str) -> &str {
    host.trim_start_matches('[').trim_end_matches(']')
}

/// Whether an address is this one, or in this network.
fn is_in(address: IpAddr, written: &str) -> bool {
    let (network, length) = written.split_once('/').unwrap_or((written, ""));
    let Ok(network) = network.parse::<IpAddr>() else { return false };
    let (own, other, all): (u128, u128, u32) = match (address, network) {
        (IpAddr::V4(own), IpAddr::V4(other)) => (own.to_bits().into(), other.to_bits().into(), 32),
        (IpAddr::V6(own), IpAddr::V6(other)) => (own.to_bits(), other.to_bits(), 128),
        _ => return false,
    };
    let length = if length.is_empty() { Some(all) } else { length.parse().ok() };
    let Some(rest) = length.and_then(|it| all.checked_sub(it)) else { return false };
    rest >= 128 || own >> rest == other >> rest
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncBufReadExt as _, BufReader};
    use tokio::net::TcpListener;

    use super::*;

    #[test]
    fn who_is_asked_without_the_proxy_is_told_by_name_end_network_and_port() {
        let check = |without: &str, host: &str, expect: bool| {
            let proxy = Proxy::new("proxy.example:3128", without);
            assert_eq!(proxy.is_without(host, 443), expect, "{without} {host}");
        };
        check("", "r.example", false);
        check("", "127.0.0.9", true);
        check("r.example", "r.example", true);
        check("r.example", "a.r.example", true);
        check("r.example", "ar.example", false);
        check(".r.example", "r.example", false);
        check("x, *.r.example", "A.R.example", true);
        check("*", "anything", true);
        check("10.0.0.0/8", "10.1.2.3", true);
        check("10.0.0.0/8", "11.1.2.3", false);
        check("0.0.0.0/0", "11.1.2.3", true);
        check("fd00::/8", "fd00::1", true);
        check("fd00::1", "fd00::2", false);
        check("r.example:443", "r.example", true);
        check("r.example:5000", "r.example", false);
        check("[fd00::1]:443", "fd00::1", true);
    }

    #[test]
    fn proxies_are_hosts_with_ports_and_logins() {
        let check = |address: &str, at: Option<(&str, u16)>, login: Option<&str>| {
            let proxy = Proxy::new(address, "");
            assert_eq!(proxy.at, at.map(|(host, port)| (host.to_owned(), port)), "{address}");
            assert_eq!(proxy.login.as_deref(), login, "{address}");
        };
        check("proxy.example:3128", Some(("proxy.example", 3128)), None);
        check("http://a:b%40@proxy.example", Some(("proxy.example", 80)), Some("YTpiQA=="));
        check("http://[fd00::1]:8080", Some(("fd00::1", 8080)), None);
        check("socks5://proxy.example", None, None);
        check("", None, None);
    }

    #[tokio::test]
    async fn a_connection_goes_through_the_proxy_and_what_it_refuses_is_told() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let serving = tokio::spawn(async move {
            let mut asked = Vec::new();
            for answer in ["HTTP/1.1 200 Go on\r\n\r\nhello", "HTTP/1.1 407 Who are you\r\n\r\n"] {
                let (stream, _) = listener.accept().await.unwrap();
                let mut stream = BufReader::new(stream);
                let mut head = String::new();
                while !head.ends_with("\r\n\r\n") {
                    stream.read_line(&mut head).await.unwrap();
                }
                asked.push(head);
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
            asked
        });
        let proxy = Proxy::new(&format!("http://ann:secret@{at}"), "");
        let mut through = proxy.connect("r.example", 443).await.unwrap();
        let mut text = String::new();
        through.read_to_string(&mut text).await.unwrap();
        assert_eq!(text, "hello");
        let refused = proxy.connect("r.example", 443).await.unwrap_err().to_string();
        assert_eq!(refused, format!("the proxy {at} answers \"HTTP/1.1 407 Who are you\""));
        let head = "CONNECT r.example:443 HTTP/1.1\r\nHost: r.example:443\r\nProxy-Authorization: Basic YW5uOnNlY3JldA==\r\n\r\n";
        assert_eq!(serving.await.unwrap()[0], head);
    }
}
