//! The files of `ui/`, which are part of the program.

use std::sync::OnceLock;

use http::{HeaderMap, Response};
use sha2::{Digest as _, Sha256};

use crate::answer::{self, Body};

/// A file.
struct Asset {
    path: &'static str,
    kind: &'static str,
    content: &'static [u8],
    tag: OnceLock<String>,
}

impl Asset {
    const fn new(path: &'static str, kind: &'static str, content: &'static [u8]) -> Self {
        Self { path, kind, content, tag: OnceLock::new() }
    }

    fn tag(&self) -> &str {
        self.tag.get_or_init(|| {
            let digest = Sha256::digest(self.content);
            let hex: String = digest.iter().take(12).map(|byte| format!("{byte:02x}")).collect();
            format!("\"{hex}\"")
        })
    }
}

const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";

static ASSETS: [Asset; 5] = [
    Asset::new("/ui/dashboard.css", STYLE, include_bytes!("../../../ui/dashboard.css")),
    Asset::new("/ui/dashboard.js", SCRIPT, include_bytes!("../../../ui/dashboard.js")),
    Asset::new("/ui/uplot.css", STYLE, include_bytes!("../../../ui/uplot.min.css")),
    Asset::new("/ui/uplot.js", SCRIPT, include_bytes!("../../../ui/uplot.min.js")),
    Asset::new("/favicon.svg", "image/svg+xml", include_bytes!("../../../ui/favicon.svg")),
];

/// The file at a path, if there is one. It holds no secrets.
pub(crate) fn at(path: &str, asked: &HeaderMap) -> Option<Response<Body>> {
    let asset = ASSETS.iter().find(|asset| asset.path == path)?;
    Some(answer::file(asset.kind, asset.tag(), asset.content, asked))
}
