//! The dashboard in a real browser, of a real cluster with traffic.
//!
//! With `SERIN_PICTURES=1` the pictures of the documentation are made anew on the way.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a helper of tests that fails fails its test"
)]
#![expect(clippy::print_stdout, reason = "a test that is skipped says why")]

#[path = "dashboard/browser.rs"]
mod browser;
#[path = "cluster/machine.rs"]
#[allow(dead_code, reason = "the tests of clusters use more of it")]
mod machine;

use std::path::PathBuf;
use std::process::Command;

use serin_testkit::{Process, tools};

use crate::browser::{Browser, ENTER, TAB};
use crate::machine::Cluster;

/// A cluster with bookinfo and load, and a browser at its dashboard.
struct Scene {
    browser: Browser,
    cluster: Cluster,
    _load: Process,
    /// Scheme, address and port of the dashboard.
    origin: String,
}

impl Scene {
    fn start() -> Option<Self> {
        let browser = Browser::start()?;
        let cluster = Cluster::start(&["--dashboard-address", "127.0.0.1:0"])?;
        let output = cluster.process.output();
        let link = output.lines().find_map(|line| line.split_once("dashboard http")).unwrap().1;
        let link = format!("http{}", link.trim());
        cluster.kubectl(&["label", "namespace", "default", "istio-injection=enabled"]);
        cluster.apply(&["samples/bookinfo/workloads.yaml", "samples/shopfront/gateway.yaml"]);
        cluster.wait_available();
        cluster.wait_live("virtualservice/bookinfo");
        let url = format!("http://{}/productpage", cluster.gateway);
        let mut load = Command::new(env!("CARGO_BIN_EXE_serin"));
        let load = Process::start(load.args(["load", &url, "--rate", "20", "--duration", "1h"]));
        browser.go(&link);
        let origin = link.split("/?").next().unwrap().to_owned();
        Some(Self { browser, cluster, _load: load, origin })
    }

    fn go(&self, path: &str) {
        self.browser.go(&format!("{}{path}", self.origin));
    }

    /// The page is followed, and has this text.
    fn shows(&self, text: &str) {
        self.browser.until("document.getElementById('connection').dataset.state === 'live'");
        self.browser.until(&format!("document.body.innerText.includes({text:?})"));
    }

    /// Gives the release of the page a command, by mouse, once it is told what that does.
    fn tells(&self, word: &str, effect: &str) {
        let link = format!("a[href$='/{word}']");
        self.browser.until(&format!("document.querySelector(\"{link}\") !== null"));
        self.browser.click(&link);
        // What a command does may be told on both pages.
        self.browser.until(&format!("location.pathname.endsWith('/{word}')"));
        self.shows(effect);
        self.browser.click("main button");
    }

    /// What holds for every page at any width and in both schemes.
    fn is_sound(&self, path: &str, text: &str) {
        for (width, scheme) in [(1600, "light"), (1600, "dark"), (320, "light"), (320, "dark")] {
            self.browser.look(width, scheme);
            self.go(path);
            self.shows(text);
            let wide = self.browser.run("return document.documentElement.scrollWidth");
            assert_eq!(wide, width, "{path} is too wide at {width}");
            let foreign = "return performance.getEntriesByType('resource').map(it => it.name)\
                           .filter(it => !it.startsWith(location.origin + '/'))";
            assert_eq!(self.browser.run(foreign).as_array().map(Vec::len), Some(0), "{path}");
            assert_eq!(self.browser.run("return document.querySelectorAll('h1').length"), 1);
            self.is_accessible(path, width, scheme);
        }
        assert_eq!(self.browser.errors(), Vec::<String>::new(), "{path}");
        self.browser.look(1600, "light");
    }

    /// No violations that axe calls serious or critical.
    fn is_accessible(&self, path: &str, width: u32, scheme: &str) {
        let file = tools::root().join("target/tools/node/node_modules/axe-core/axe.min.js");
        let Ok(axe) = std::fs::read_to_string(&file) else {
            let is_required = std::env::var_os("SERIN_TOOLS").is_some_and(|it| it == "required");
            assert!(!is_required, "axe-core is not installed: `cargo xtask tools` installs it");
            println!("skipped: axe-core is not installed: `cargo xtask tools` installs it");
            return;
        };
        self.browser.run(&axe);
        let found = self.browser.wait_for(
            "axe.run().then(it => it.violations.filter(it => ['serious', 'critical'].includes(it.impact))\
             .map(it => it.id + ': ' + it.nodes.slice(0, 3).map(it => it.html + it.failureSummary).join(' | ')))",
        );
        assert_eq!(found.as_array().map(Vec::len), Some(0), "{path} {width} {scheme}: {found:#}");
    }

    fn picture(&self, name: &str, looks: &[(u32, &str)]) {
        if std::env::var_os("SERIN_PICTURES").is_none() {
            return;
        }
        let folder: PathBuf = tools::root().join("docs/images");
        std::fs::create_dir_all(&folder).unwrap();
        for (width, scheme) in looks {
            self.browser.look(*width, scheme);
            self.browser.until("!document.querySelector('[data-chart]') || document.querySelectorAll('.u-over').length === 4");
            let size = if *width == 320 { "-narrow" } else { "" };
            let file = folder.join(format!("dashboard-{name}-{scheme}{size}.png"));
            self.browser.picture(&file, 2400);
        }
        self.browser.look(1600, "light");
    }
}

#[test]
fn every_page_is_live_accessible_and_fits_any_window() {
    let Some(scene) = Scene::start() else { return };
    scene.go("/");
    scene.shows("istio-ingressgateway");
    // The token is in no address that is kept.
    assert!(!scene.browser.run("return location.href").as_str().unwrap().contains("token"));
    scene.browser.until("document.querySelectorAll('svg.graph .edge').length >= 4");
    scene.picture("overview", &[(1600, "light"), (1600, "dark"), (320, "light")]);
    let pages = [
        ("/", "productpage"),
        ("/releases", "No service is released"),
        ("/routing", "path begins with /api/v1/products"),
        ("/routing/default/bookinfo", "path begins with /api/v1/products"),
        ("/routing/explain", "Explain"),
        ("/objects", "bookinfo-gateway"),
        ("/objects/virtualservices.networking.istio.io/default/bookinfo", "exact: /login"),
        ("/requests", "/productpage"),
        ("/requests?service=reviews&status=ok", "reviews.default:9080"),
    ];
    for (path, text) in pages {
        scene.is_sound(path, text);
    }
    what_happens_is_shown_at_once_and_takes_no_focus(&scene);
    a_request_is_explained(&scene);
    the_first_stop_of_the_keyboard_leads_to_the_content(&scene);
    assert_eq!(scene.browser.errors(), Vec::<String>::new());
}

fn what_happens_is_shown_at_once_and_takes_no_focus(scene: &Scene) {
    scene.go("/objects");
    scene.shows("bookinfo-gateway");
    scene.browser.run("document.querySelector('select[name=kind]').focus()");
    scene.cluster.apply(&["samples/versions/destination-rule.yaml"]);
    scene.browser.until(
        "[...document.querySelectorAll('td')].some(it => it.innerText === 'DestinationRule')",
    );
    assert_eq!(scene.browser.run("return document.activeElement.name"), "kind");
    scene.go("/");
    scene.shows("None: every pod is ready");
    scene.cluster.kubectl(&["run", "lost", "--image=nowhere.invalid/lost:1"]);
    scene.shows("A pod of lost");
    // A screen reader is told.
    scene.browser.until("document.getElementById('news').textContent.includes('lost')");
    scene.picture("problem", &[(1600, "light")]);
    scene.cluster.kubectl(&["delete", "pod", "lost", "--now"]);
    scene.shows("None: every pod is ready");
}

fn a_request_is_explained(scene: &Scene) {
    scene.go("/routing/explain");
    scene.browser.run(
        "const select = document.querySelector('select[name=sender]');\
         select.value = [...select.options].find(it => it.text.includes('productpage')).value;",
    );
    scene.browser.click("input[name=url]");
    scene.browser.keys(&format!("http://reviews:9080/reviews/1{ENTER}"));
    scene.shows("takes the request");
    let text = scene.browser.text();
    assert!(text.contains("reviews.default.svc.cluster.local:9080"), "{text}");
    scene.picture("explain", &[(1600, "light")]);
    scene.browser.run("document.querySelector('input[name=url]').value = 'ftp://reviews/'");
    scene.browser.click("form.card button");
    scene.shows("the scheme is http or https");
}

fn the_first_stop_of_the_keyboard_leads_to_the_content(scene: &Scene) {
    scene.go("/requests");
    scene.shows("/productpage");
    scene.browser.keys(TAB);
    assert_eq!(scene.browser.run("return document.activeElement.className"), "skip");
    scene.browser.keys(ENTER);
    scene.browser.until("document.activeElement.id === 'main'");
    scene.browser.tab_to("Pause");
    scene.browser.keys(ENTER);
    scene.browser.until("document.getElementById('connection').dataset.state === 'paused'");
    scene.browser.keys(ENTER);
    scene.browser.until("document.getElementById('connection').dataset.state === 'live'");
}

const CANARY: &str = "\
apiVersion: serin.dev/v1alpha1
kind: Canary
metadata: {name: details, namespace: default}
spec:
  targetRef: {apiVersion: apps/v1, kind: Deployment, name: details-v1}
  service: {name: details, port: 9080}
  analysis: {interval: 10s, threshold: 5, stepWeights: [20, 40, 60, 80, 100], sequential: {}}
";

#[test]
fn a_release_obeys_clicks_and_keys() {
    let Some(scene) = Scene::start() else { return };
    let file = scene.cluster.folder.path().join("canary.yaml");
    std::fs::write(&file, CANARY).unwrap();
    scene.cluster.apply(&[file.to_str().unwrap()]);
    scene.go("/releases/default/details");
    scene.shows("at rest");
    scene.cluster.kubectl(&["set", "env", "deployment/details-v1", "RELEASE=2"]);
    scene.shows("being tried");
    scene.shows("20 % of the requests go to the new version");
    scene.browser.until("document.querySelectorAll('.u-over').length === 4");
    scene.tells("hold", "stays at its present share");
    scene.shows("held");
    scene.is_sound("/releases/default/details", "held");
    scene.picture("release", &[(1600, "light"), (1600, "dark"), (320, "dark")]);
    scene.is_sound("/releases/default/details/abort", "at once");
    scene.is_sound("/releases", "held");
    scene.go("/releases/default/details");
    scene.shows("held");
    scene.browser.tab_to("Abort");
    scene.browser.keys(ENTER);
    scene.shows("All users get the version before, at once");
    scene.browser.tab_to("Abort details");
    scene.browser.keys(ENTER);
    scene.shows("All users have the version before.");
    let path = "jsonpath={.status.phase}";
    assert_eq!(
        scene.cluster.kubectl(&["get", "canary.serin.dev", "details", "-o", path]),
        "Failed"
    );
    scene.picture("rolled-back", &[(1600, "light")]);
    scene.go("/");
    scene.shows("The release details was rolled back.");

    // The same version again: held, let go, and promoted before its time.
    scene.go("/releases/default/details");
    scene.tells("restart", "The same new version is released once more, from the beginning.");
    scene.shows("being tried");
    scene.tells("hold", "The release stays at its present share.");
    scene.shows("held");
    scene.tells("resume", "The release goes on from where it is held.");
    scene.browser.until("document.querySelector(\"a[href$='/hold']\") !== null");
    scene.tells("promote", "The new version is promoted now, without any further check.");
    let promoted = "--for=jsonpath={.status.phase}=Succeeded";
    scene.cluster.kubectl(&["wait", "canary.serin.dev/details", promoted]);
    scene.shows("All users have the new version.");
    assert_eq!(scene.browser.errors(), Vec::<String>::new());
}
