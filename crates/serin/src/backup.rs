//! `serin backup` and `serin restore`: copies of a whole store.

use std::fs::{self, File, OpenOptions};
use std::io::{BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, ensure};
use bytes::Bytes;
use http_body_util::BodyExt as _;
use serin_apiserver::store::{self, Store};

use crate::cli::{BackupArgs, RestoreArgs};
use crate::kubeconfig;

/// Copies a store into a file.
pub(crate) fn backup(args: &BackupArgs, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let part = args.file.with_extension("part");
    let result = copy(args, &part);
    if result.is_err() {
        // What there is of it is worth nothing; if it cannot be removed, it is in nobody's way.
        let _ = fs::remove_file(&part);
    }
    let length = result?;
    fs::rename(&part, &args.file)
        .with_context(|| format!("cannot write {}", args.file.display()))?;
    writeln!(out, "{}: {length} bytes", args.file.display())?;
    Ok(ExitCode::SUCCESS)
}

fn copy(args: &BackupArgs, part: &Path) -> anyhow::Result<u64> {
    let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(part);
    let file = file.with_context(|| format!("cannot write {}", part.display()))?;
    let mut file = Counted { out: BufWriter::new(file), length: 0 };
    match (&args.data_dir, &args.kubeconfig) {
        (Some(folder), _) => {
            ensure!(folder.is_dir(), "there is no folder {}", folder.display());
            let store = Store::open(store::Settings::folder(folder))?;
            for piece in store.backup() {
                file.put(&piece)?;
            }
        }
        (None, Some(kubeconfig)) => {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(ask(kubeconfig, &mut file))?;
        }
        (None, None) => anyhow::bail!("name the server by --kubeconfig or --data-dir"),
    }
    file.end()
}

/// Reads the copy from the running server.
async fn ask(kubeconfig: &Path, file: &mut Counted) -> anyhow::Result<()> {
    let client = kubeconfig::client(kubeconfig, None).await?;
    let request = http::Request::get("/serin/backup").body(kube::client::Body::empty())?;
    let response = client.send(request).await.context("the server does not answer")?;
    let code = response.status();
    let mut body = response.into_body();
    ensure!(
        code.is_success(),
        "the server refused with {code}: is it serin, and is this its administrator's kubeconfig?"
    );
    let mut last = Bytes::new();
    while let Some(frame) = body.frame().await {
        if let Ok(piece) = frame?.into_data() {
            file.put(&piece)?;
            last = piece;
        }
    }
    ensure!(last.ends_with(b"\"}\n"), "the server ended before the copy did");
    Ok(())
}

/// A file with the count of what was written.
struct Counted {
    out: BufWriter<File>,
    length: u64,
}

impl Counted {
    fn put(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        self.length += bytes.len() as u64;
        self.out.write_all(bytes).context("cannot write the copy")
    }

    /// Makes it durable; its length.
    fn end(mut self) -> anyhow::Result<u64> {
        self.out
            .flush()
            .and_then(|()| self.out.get_ref().sync_all())
            .context("cannot write the copy")?;
        Ok(self.length)
    }
}

/// Makes a store of a copy.
pub(crate) fn restore(args: &RestoreArgs, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let file =
        File::open(&args.file).with_context(|| format!("cannot read {}", args.file.display()))?;
    let count = store::restore(file, &args.data_dir)?;
    writeln!(out, "{}: {count} objects", args.data_dir.display())?;
    Ok(ExitCode::SUCCESS)
}
