//! What the user says about images: which programs stand in for them.

use std::fs;

use anyhow::{Context, ensure};

use crate::cli::UpArgs;

/// Mappings from image patterns to command lines, in the order in which they are tried: the command line's before the file's.
pub(super) fn mappings(args: &UpArgs) -> anyhow::Result<Vec<(String, String)>> {
    let mut mappings = args
        .image
        .iter()
        .map(|line| mapping(line).context("--image"))
        .collect::<Result<Vec<_>, _>>()?;
    if let Some(path) = &args.images {
        let shown = path.display();
        let text = fs::read_to_string(path).with_context(|| format!("cannot read {shown}"))?;
        for (number, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            mappings.push(mapping(line).with_context(|| format!("{shown}:{}", number + 1))?);
        }
    }
    Ok(mappings)
}

fn mapping(line: &str) -> anyhow::Result<(String, String)> {
    let parts = line.split_once('=');
    let parts = parts.map(|(image, command)| (image.trim(), command.trim()));
    let (image, command) =
        parts.with_context(|| format!("{line:?} has no =: write 'IMAGE=COMMAND'"))?;
    ensure!(!image.is_empty() && !command.is_empty(), "{line:?} needs an image and a command");
    Ok((image.to_owned(), command.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mapping_ends_at_the_first_equals_sign() {
        let check = |line: &str| mapping(line).map_err(|error| error.to_string());
        let expect = |image: &str, command: &str| Ok((image.to_owned(), command.to_owned()));
        assert_eq!(check("reviews:* = ./reviews --a=b"), expect("reviews:*", "./reviews --a=b"));
        assert!(check("reviews").unwrap_err().contains("has no ="));
        assert!(check("=x").unwrap_err().contains("needs an image"));
    }
}
