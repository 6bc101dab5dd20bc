//! A browser that is told what to do over WebDriver (W3C), by bare requests: chromedriver is its only other end.

use std::io::{BufRead, BufReader, Read as _, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use base64::Engine as _;
use serde_json::{Value, json};
use serin_testkit::{PATIENCE, Process, tools};

/// The key of a reference to an element.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";
/// Keys as WebDriver has them.
pub(crate) const TAB: &str = "\u{E004}";
pub(crate) const ENTER: &str = "\u{E007}";

/// A browser with one window.
pub(crate) struct Browser {
    port: u16,
    session: String,
    _driver: Process,
    _profile: tempfile::TempDir,
}

impl Browser {
    /// Starts one; `None`, with the reason printed, where it is not installed.
    pub(crate) fn start() -> Option<Self> {
        let driver = tools::find("chromedriver")?;
        tools::find("chromium")?;
        let driver = Process::start(Command::new(driver).arg("--port=0"));
        let line = driver.wait_for(|line| line.contains("started successfully on port"));
        let port = line.trim_end_matches('.').rsplit(' ').next().unwrap().parse().unwrap();
        let profile = tempfile::tempdir().unwrap();
        let mut arguments: Vec<String> =
            ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
                .map(str::to_owned)
                .to_vec();
        arguments.push("--hide-scrollbars".to_owned());
        arguments.push(format!("--user-data-dir={}", profile.path().display()));
        let mut browser = Self { port, session: String::new(), _driver: driver, _profile: profile };
        let wanted = json!({"capabilities": {"alwaysMatch": {
            "browserName": "chrome",
            "goog:loggingPrefs": {"browser": "ALL"},
            "goog:chromeOptions": {"args": arguments},
        }}});
        let session = browser.call("POST", "/session", &wanted);
        browser.session = format!("/session/{}", session["sessionId"].as_str().unwrap());
        Some(browser)
    }

    fn call(&self, method: &str, path: &str, body: &Value) -> Value {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let body = if method == "POST" { body.to_string() } else { String::new() };
        let length = body.len();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nContent-Type: application/json\r\n\
             Content-Length: {length}\r\nConnection: close\r\n\r\n{body}",
            self.port
        )
        .unwrap();
        let (head, body) = answer(BufReader::new(stream));
        let value: Value = serde_json::from_slice(&body).unwrap_or_default();
        assert!(head.contains(" 200 "), "{method} {path}: {}", value["value"]["message"]);
        value["value"].clone()
    }

    fn post(&self, path: &str, body: &Value) -> Value {
        self.call("POST", &format!("{}{path}", self.session), body)
    }

    /// Loads a page.
    pub(crate) fn go(&self, url: &str) {
        self.post("/url", &json!({"url": url}));
    }

    /// What a script returns.
    pub(crate) fn run(&self, script: &str) -> Value {
        self.post("/execute/sync", &json!({"script": script, "args": []}))
    }

    /// What a promise of a script brings.
    pub(crate) fn wait_for(&self, promise: &str) -> Value {
        let script =
            format!("const done = arguments[0]; ({promise}).then(done, e => done(String(e)))");
        self.post("/execute/async", &json!({"script": script, "args": []}))
    }

    /// Asks a script again until it says yes.
    pub(crate) fn until(&self, condition: &str) {
        let until = Instant::now() + PATIENCE;
        while self.run(&format!("return Boolean({condition})")) != true {
            assert!(Instant::now() < until, "never: {condition}\n{}", self.text());
        }
    }

    /// The text of the page.
    pub(crate) fn text(&self) -> String {
        self.run("return document.body.innerText").as_str().unwrap_or_default().to_owned()
    }

    /// Clicks on what a selector finds, as a mouse does.
    pub(crate) fn click(&self, selector: &str) {
        let found = self.post("/element", &json!({"using": "css selector", "value": selector}));
        let element = found[ELEMENT].as_str().unwrap();
        self.post(&format!("/element/{element}/click"), &json!({}));
    }

    /// Presses keys, one after the other, wherever the focus is.
    pub(crate) fn keys(&self, keys: &str) {
        let actions: Vec<Value> = keys
            .chars()
            .flat_map(|key| ["keyDown", "keyUp"].map(|kind| json!({"type": kind, "value": key})))
            .collect();
        let source = json!({"type": "key", "id": "keyboard", "actions": actions});
        self.post("/actions", &json!({"actions": [source]}));
    }

    /// Goes on with the tabulator key until the focus is on something with this text.
    pub(crate) fn tab_to(&self, text: &str) {
        for _ in 0..80 {
            self.keys(TAB);
            let focused = self.run("return (document.activeElement.innerText || '').trim()");
            if focused.as_str() == Some(text) {
                return;
            }
        }
        panic!("{text:?} cannot be reached by the keyboard");
    }

    /// Makes the window so wide, in light or dark.
    pub(crate) fn look(&self, width: u32, scheme: &str) {
        let size = json!({"width": width, "height": 1000, "deviceScaleFactor": 1, "mobile": false});
        self.developer("Emulation.setDeviceMetricsOverride", &size);
        let features = json!([{"name": "prefers-color-scheme", "value": scheme}]);
        self.developer("Emulation.setEmulatedMedia", &json!({"features": features}));
    }

    fn developer(&self, command: &str, parameters: &Value) -> Value {
        self.post("/goog/cdp/execute", &json!({"cmd": command, "params": parameters}))
    }

    /// What the console says that is an error.
    pub(crate) fn errors(&self) -> Vec<String> {
        let log = self.post("/se/log", &json!({"type": "browser"}));
        let severe = log.as_array().into_iter().flatten().filter(|it| it["level"] == "SEVERE");
        severe.map(|it| it["message"].to_string()).collect()
    }

    /// Writes a picture of the page from its top, at most so high.
    pub(crate) fn picture(&self, file: &Path, highest: u64) {
        let height = self.run("return document.documentElement.scrollHeight").as_u64().unwrap();
        let width = self.run("return window.innerWidth").as_u64().unwrap();
        let clip =
            json!({"x": 0, "y": 0, "width": width, "height": height.min(highest), "scale": 1});
        let taken = self.developer(
            "Page.captureScreenshot",
            &json!({"format": "png", "captureBeyondViewport": true, "clip": clip}),
        );
        let bytes =
            base64::engine::general_purpose::STANDARD.decode(taken["data"].as_str().unwrap());
        std::fs::write(file, bytes.unwrap()).unwrap();
    }
}

/// Head and body of an answer. The connection stays open, so that the head says how long the body is.
fn answer(mut stream: impl BufRead) -> (String, Vec<u8>) {
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).unwrap();
        let lower = line.to_ascii_lowercase();
        if let Some(number) = lower.strip_prefix("content-length:") {
            length = number.trim().parse().unwrap();
        }
        if line.trim().is_empty() {
            break;
        }
        head.push_str(&line);
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).unwrap();
    (head, body)
}

impl Drop for Browser {
    /// The browser would outlive its driver. A test that fails must not fail again here.
    fn drop(&mut self) {
        let (port, session) = (self.port, &self.session);
        let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else { return };
        let _ = stream.set_read_timeout(Some(PATIENCE));
        let _ = write!(stream, "DELETE {session} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n");
        let _ = stream.read(&mut [0; 512]);
    }
}
