//! What the node says to the first process of a container, and what that answers.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// What to run, where and as whom.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Launch {
    /// A new container, or one that runs.
    pub place: Place,
    /// Program and arguments.
    pub arguments: Vec<String>,
    /// All of the environment.
    pub environment: Vec<(String, String)>,
    /// The working directory; it is made where it is missing.
    pub folder: String,
    /// `UID[:GID]` or `NAME[:GROUP]`, as images have it; empty is root.
    pub user: String,
    /// Further groups.
    pub groups: Vec<u32>,
    /// Where standard input is read from; without one there is none.
    pub stdin: Option<PathBuf>,
    /// Whether a terminal of the container's own is standard input, output and error.
    pub terminal: bool,
    /// The capabilities that stay, one bit each; all without.
    pub capabilities: Option<u64>,
    /// Whether set-user-ID programs give nothing.
    pub no_new_privileges: bool,
    /// Folders of control groups to join.
    pub cgroups: Option<Vec<PathBuf>>,
}

/// Where the program runs.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Place {
    /// In a root that is made for it.
    New(Root),
    /// In the mount namespace of a process, known by its ID outside.
    Enter(u32),
}

/// The root file system of a container.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Root {
    /// The unpacked image; without one, what the host has.
    pub image: Option<PathBuf>,
    /// A folder of the container's own: what it writes is there.
    pub scratch: PathBuf,
    /// Whether the root cannot be written to.
    pub read_only: bool,
    /// What is mounted into it, in this order.
    pub mounts: Vec<Mount>,
    /// A process, known by its ID outside, whose fellows it sees; without one it sees its own only.
    pub beside: Option<u32>,
}

/// Something of the host that the container sees.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub(crate) struct Mount {
    /// A file or folder.
    pub source: PathBuf,
    /// Where it is seen.
    pub target: PathBuf,
    /// Whether it cannot be written to.
    pub read_only: bool,
}

/// The answer: one line, after a byte that bears the controlling side of the terminal where one was asked for. A program that was entered says nothing; the socket closes when it begins.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Reply {
    /// The program runs.
    Started,
    /// It could not be started.
    Failed(String),
}
