//! A server that hooks and alerts of releases are sent to: it remembers them, and answers as the test wants.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::Value;

/// Answers 200 wherever nothing else was said.
pub(crate) struct Receiver {
    pub(crate) address: SocketAddr,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    /// By path: the status of so many answers, and of those after them.
    statuses: BTreeMap<String, (u32, u16, u16)>,
    heard: Vec<(String, Value)>,
}

impl Receiver {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::<Mutex<State>>::default();
        let of_thread = Arc::clone(&state);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let state = Arc::clone(&of_thread);
                // Whoever asks may leave.
                thread::spawn(move || answer(stream, &state));
            }
        });
        Self { address, state }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// From now on a path answers with this status.
    pub(crate) fn answer(&self, path: &str, status: u16) {
        self.answer_first(path, 0, 200, status);
    }

    /// The next `count` answers of a path have a status, those after them another.
    pub(crate) fn answer_first(&self, path: &str, count: u32, status: u16, after: u16) {
        let mut state = self.state.lock().unwrap();
        state.statuses.insert(path.to_owned(), (count, status, after));
    }

    /// What a path has heard so far.
    pub(crate) fn heard(&self, path: &str) -> Vec<Value> {
        let state = self.state.lock().unwrap();
        state.heard.iter().filter(|(at, _)| at == path).map(|(_, body)| body.clone()).collect()
    }
}

fn answer(mut stream: TcpStream, state: &Mutex<State>) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let (mut path, mut length) = (String::new(), 0);
    for line in reader.by_ref().lines().map_while(Result::ok) {
        let line = line.to_ascii_lowercase();
        match line.split_once(": ") {
            _ if line.is_empty() => break,
            Some(("content-length", value)) => length = value.parse().ok()?,
            None => path = line.split(' ').nth(1)?.to_owned(),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
    let status = {
        let mut state = state.lock().unwrap();
        state.heard.push((path.clone(), body));
        match state.statuses.get_mut(&path) {
            None => 200,
            Some((0, _, after)) => *after,
            Some((left, status, _)) => {
                *left -= 1;
                *status
            }
        }
    };
    let answer =
        format!("HTTP/1.1 {status} As Told\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    stream.write_all(answer.as_bytes()).ok()
}
