//! The proxy's process under callgrind, and what it spends.

use std::io::{BufRead, BufReader, Lines, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context, ensure};
use rustix::process::Pid;

use crate::backend::Backends;
use crate::serve;

/// Requests that go before those that are counted: connections, pools and tables are there then.
const WARM: usize = 20;

/// A proxy that runs under callgrind.
pub(crate) struct Proxy {
    child: Child,
    orders: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
    folder: PathBuf,
    /// Counts that were written so far.
    dumps: usize,
    /// Its ports.
    pub(crate) plain: u16,
    pub(crate) tls: u16,
}

/// What a request costs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Counted {
    pub(crate) instructions: f64,
    pub(crate) system_calls: f64,
}

impl Proxy {
    /// Starts one with so many rules.
    pub(crate) fn start(rules: usize, backends: &Backends) -> anyhow::Result<Self> {
        let name = format!("serin-instructions-{}-{rules}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&folder)?;
        let mut command = Command::new("valgrind");
        command
            .args(["--quiet", "--tool=callgrind", "--collect-systime=yes"])
            .arg(format!("--dump-before={}", serve::MARK))
            .arg(format!("--callgrind-out-file={}", folder.join("out").display()))
            .arg(crate::own_path()?)
            .args([serve::COMMAND, &rules.to_string()])
            .args([backends.one, backends.two, backends.grpc].map(|port| port.to_string()))
            // Which of several versions of a function the C library takes depends on the processor: those that all have.
            .env("GLIBC_TUNABLES", "glibc.cpu.hwcaps=-AVX512F,-AVX512VL,-AVX512BW,-ERMS,-FSRM")
            .env("SERIN_INSTRUCTIONS_FOLDER", &folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut child = command.spawn().context("cannot start valgrind")?;
        backends.together.is_for(Pid::from_child(&child));
        let orders = child.stdin.take().context("no input")?;
        let output = child.stdout.take().context("no output")?;
        let answers = BufReader::new(output).lines();
        let mut proxy = Self { child, orders, answers, folder, dumps: 0, plain: 0, tls: 0 };
        let ready = proxy.answer()?;
        let mut ports = ready.split(' ').map(str::parse);
        proxy.plain = ports.next().context("no port")??;
        proxy.tls = ports.next().context("no port of TLS")??;
        Ok(proxy)
    }

    /// The certificate of the authority that its own is by.
    pub(crate) fn authority(&self) -> PathBuf {
        self.folder.join(serve::AUTHORITY)
    }

    /// What each of so many requests costs. `ask` makes one, or several if it says so.
    pub(crate) fn count(
        &mut self,
        requests: usize,
        mut ask: impl FnMut() -> anyhow::Result<usize>,
    ) -> anyhow::Result<Counted> {
        let mut made = 0;
        while made < WARM {
            made += ask()?;
        }
        self.mark()?;
        made = 0;
        while made < requests {
            made += ask()?;
        }
        let (instructions, system_calls) = totals(&self.mark()?)?;
        let each = |total: u64| total as f64 / made as f64;
        Ok(Counted { instructions: each(instructions), system_calls: each(system_calls) })
    }

    /// Has the counts since the last mark written into a file.
    fn mark(&mut self) -> anyhow::Result<PathBuf> {
        writeln!(self.orders)?;
        self.answer()?;
        self.dumps += 1;
        Ok(self.folder.join(format!("out.{}", self.dumps)))
    }

    fn answer(&mut self) -> anyhow::Result<String> {
        Ok(self.answers.next().context("the proxy has ended")??)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::env::var_os("SERIN_KEEP_PROFILES").is_none() {
            let _ = std::fs::remove_dir_all(&self.folder);
        }
    }
}

/// Instructions and system calls of a file of callgrind's.
fn totals(file: &Path) -> anyhow::Result<(u64, u64)> {
    let text = std::fs::read_to_string(file)
        .with_context(|| format!("callgrind has not written {}", file.display()))?;
    let after = |key: &str| text.lines().find_map(|line| line.strip_prefix(key));
    ensure!(
        after("events: ").is_some_and(|events| events.starts_with("Ir sysCount")),
        "{} has other events",
        file.display()
    );
    let totals = after("totals: ").context("no totals")?;
    let mut numbers = totals.split(' ').map(str::parse);
    Ok((numbers.next().context("no count")??, numbers.next().context("no count")??))
}
