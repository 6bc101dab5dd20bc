//! The completion scripts in the shells that they are for.

use std::fs;
use std::path::Path;
use std::process::Command;

use serin_testkit::tools;

/// A folder with the script of a shell, in which the program itself is found.
fn folder(shell: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let output = super::serin(&["completion", shell]).output().unwrap();
    assert!(output.status.success());
    fs::write(folder.path().join("script"), output.stdout).unwrap();
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_serin"), folder.path().join("serin")).unwrap();
    folder
}

/// What a shell prints; `None` where it is not installed.
fn printed(shell: &str, arguments: &[&str], program: &str) -> Option<String> {
    let path = tools::find(shell)?;
    let folder = folder(shell);
    fs::write(folder.path().join("program"), program).unwrap();
    let mut command = Command::new(path);
    command.args(arguments).arg("program").current_dir(&folder);
    let path = std::env::var("PATH").unwrap_or_default();
    command.env("PATH", format!("{}:{path}", folder.path().display())).env("TERM", "dumb");
    command.env("HOME", Path::new(folder.path()));
    let output = command.output().unwrap();
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn bash_completes_commands_and_options() {
    let program = "source ./script
        COMP_WORDS=(serin canary pro) COMP_CWORD=2; _serin serin pro canary; echo \"${COMPREPLY[@]}\"
        COMP_WORDS=(serin up --gateway-a) COMP_CWORD=2; _serin serin --gateway-a up; echo \"${COMPREPLY[@]}\"";
    let Some(told) = printed("bash", &[], program) else { return };
    assert_eq!(told, "promote\n--gateway-address\n");
}

#[test]
fn fish_completes_commands_and_says_what_they_do() {
    let program = "source ./script; complete -C 'serin canary pro'";
    let Some(told) = printed("fish", &["--no-config"], program) else { return };
    assert!(told.starts_with("promote\t"), "{told}");
}

/// zsh completes only where somebody types: in a terminal, which it can make itself.
#[test]
fn zsh_completes_what_is_typed() {
    let program = "zmodload zsh/zpty
        zpty z zsh -f -i
        zpty -w z 'PS1= RPS1=; autoload -Uz compinit && compinit -u -D; source ./script; echo it-is-$((40+2))'
        zpty -r z out '*it-is-42*'
        zpty -w -n z $'serin canary pro\\t'
        zpty -r z out '*promote*' && print -r -- \"$out\"
        zpty -d z";
    let Some(told) = printed("zsh", &["-f"], program) else { return };
    assert!(told.contains("serin canary promote"), "{told}");
}
