//! The first process of a container, alone: what tests start where the binary of the product is not at hand.

use std::process::ExitCode;

fn main() -> ExitCode {
    serin_node::init::run(std::env::args_os()).unwrap_or(ExitCode::FAILURE)
}
