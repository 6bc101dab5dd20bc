//! The list of everything that CI checks, cheapest first.

use crate::steps::{self, Outcome, Steps};
use crate::workspace::Workspace;
use crate::{generate, instructions, licences, readme, testing, tidy, tiers};

/// Runs all of it.
pub(crate) fn run(workspace: &Workspace, steps: &mut Steps) {
    steps.run("fmt", || steps::command(&mut workspace.cargo(&["fmt", "--all", "--check"])));
    tidy(workspace, steps);
    steps.run("generated files", || generate::run(workspace, true));
    steps.run("clippy", || {
        let arguments =
            ["clippy", "--locked", "--workspace", "--all-targets", "--", "-D", "warnings"];
        steps::command(&mut workspace.cargo(&arguments))
    });
    steps.run("doc", || {
        let arguments = ["doc", "--locked", "--workspace", "--no-deps", "--document-private-items"];
        // Private items are documented, so links to them lead somewhere.
        let flags = "-D warnings -A rustdoc::private_intra_doc_links";
        steps::command(workspace.cargo(&arguments).env("RUSTDOCFLAGS", flags))
    });
    testing::run(workspace, steps);
    steps.run("readme", || readme::run(workspace));
    steps.run("instructions", || instructions::check(workspace));
}

/// The checks that compile nothing.
pub(crate) fn tidy(workspace: &Workspace, steps: &mut Steps) {
    steps.run("tidy", || tidy::run(workspace).map(Outcome::from));
    steps.run("tiers", || Ok(tiers::run(workspace).into()));
    steps.run("licences", || licences::run(workspace).map(Outcome::from));
    steps.run("cargo deny", || {
        if workspace.has_subcommand("deny") {
            steps::command(&mut workspace.cargo(&[
                "deny",
                "--offline",
                "check",
                "bans",
                "licenses",
            ]))
        } else {
            Ok(Outcome::Skipped("it is not installed; the step before covers licences".to_owned()))
        }
    });
}
