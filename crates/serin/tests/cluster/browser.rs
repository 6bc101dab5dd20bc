//! A headless Chromium that keeps its cookies from page to page, spoken to by its DevTools protocol over two pipes.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::Command;
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use serde_json::{Value, json};
use serin_testkit::{PATIENCE, Process, tools};

pub(crate) struct Browser {
    // Ended first.
    _process: Process,
    _profile: tempfile::TempDir,
    orders: File,
    said: Receiver<Value>,
    session: String,
    number: u64,
}

impl Browser {
    /// `None`, with the reason printed, if there is none.
    pub(crate) fn start() -> Option<Self> {
        let program = tools::find("chromium")?;
        let profile = tempfile::tempdir().unwrap();
        let [orders, said] = ["orders", "said"].map(|name| profile.path().join(name));
        assert!(Command::new("mkfifo").args([&orders, &said]).status().unwrap().success());
        let script = "exec \"$0\" --headless --no-sandbox --disable-gpu --disable-dev-shm-usage --no-first-run \
                      --disable-extensions --disable-background-networking --user-data-dir=\"$1\" --remote-debugging-pipe \
                      3<\"$1/orders\" 4>\"$1/said\"";
        let mut command = Command::new("sh");
        command.args(["-c", script]).arg(program).arg(profile.path());
        let process = Process::start(&mut command);
        let mut browser = Self {
            orders: File::create(&orders).unwrap(),
            said: listen(&said),
            _process: process,
            _profile: profile,
            session: String::new(),
            number: 0,
        };
        let target = browser.ask("Target.createTarget", json!({"url": "about:blank"}));
        let attach = json!({"targetId": target["targetId"], "flatten": true});
        let session = browser.ask("Target.attachToTarget", attach);
        browser.session = session["sessionId"].as_str().unwrap().to_owned();
        browser.ask("Page.enable", json!({}));
        browser.ask("Page.setLifecycleEventsEnabled", json!({"enabled": true}));
        browser.ask("Network.enable", json!({}));
        Some(browser)
    }

    /// Opens a page, and tells what is to be read on it.
    pub(crate) fn read(&mut self, url: &str) -> String {
        let opened = self.ask("Page.navigate", json!({"url": url}));
        // Of this page, not of the one before.
        self.hear(|message| {
            let event = &message["params"];
            message["method"] == "Page.lifecycleEvent"
                && event["name"] == "load"
                && event["loaderId"] == opened["loaderId"]
        });
        let text = json!({"expression": "document.body.innerText"});
        let answer = self.ask("Runtime.evaluate", text);
        answer["result"]["value"].as_str().unwrap_or_default().to_owned()
    }

    /// The value of a cookie for a page.
    pub(crate) fn cookie(&mut self, url: &str, name: &str) -> Option<String> {
        let cookies = self.ask("Network.getCookies", json!({"urls": [url]}));
        let found = cookies["cookies"].as_array().unwrap().iter().find(|it| it["name"] == name);
        found.map(|it| it["value"].as_str().unwrap().to_owned())
    }

    fn ask(&mut self, method: &str, parameters: Value) -> Value {
        self.number += 1;
        let number = self.number;
        let mut order = json!({"id": number, "method": method, "params": parameters});
        if !self.session.is_empty() {
            order["sessionId"] = json!(self.session);
        }
        self.orders.write_all(format!("{order}\0").as_bytes()).unwrap();
        let answer = self.hear(|message| message["id"] == number);
        assert!(answer.get("error").is_none(), "{method}: {answer}");
        answer["result"].clone()
    }

    fn hear(&self, is_it: impl Fn(&Value) -> bool) -> Value {
        loop {
            let message = self.said.recv_timeout(PATIENCE).expect("the browser answers");
            if is_it(&message) {
                return message;
            }
        }
    }
}

fn listen(pipe: &Path) -> Receiver<Value> {
    let pipe = File::open(pipe).unwrap();
    let (sender, receiver) = channel();
    thread::spawn(move || {
        for message in BufReader::new(pipe).split(0).map_while(Result::ok) {
            let Ok(message) = serde_json::from_slice(&message) else { return };
            if sender.send(message).is_err() {
                return;
            }
        }
    });
    receiver
}
