//! Every dependency's licence is one that `deny.toml` allows.
//!
//! The same list serves `cargo deny` where that is installed; this check needs nothing beyond cargo's own metadata.

use std::collections::BTreeSet;

use anyhow::Context;
use serde::Deserialize;

use crate::workspace::Workspace;

#[derive(Deserialize)]
struct Deny {
    licenses: Licenses,
}

#[derive(Deserialize)]
struct Licenses {
    allow: BTreeSet<String>,
}

/// The packages whose licence is not allowed, one sentence each.
pub(crate) fn run(workspace: &Workspace) -> anyhow::Result<Vec<String>> {
    let deny: Deny = toml::from_str(&workspace.read("deny.toml")?).context("deny.toml")?;
    let allowed = &deny.licenses.allow;
    let problem = |package: &cargo_metadata::Package| match package.license.as_deref() {
        Some(expression) if satisfied(expression, allowed) => None,
        Some(expression) => Some(format!("{} is licensed as {expression}", package.name)),
        None => Some(format!("{} states no licence", package.name)),
    };
    let advice = "replace it, or allow the licence in deny.toml";
    Ok(workspace
        .metadata
        .packages
        .iter()
        .filter_map(problem)
        .map(|p| format!("{p}: {advice}"))
        .collect())
}

/// Whether a choice that an SPDX expression offers uses allowed licences only. Cargo's old `A/B` means `A OR B`.
fn satisfied(expression: &str, allowed: &BTreeSet<String>) -> bool {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut parser = Expression { words: &words, allowed };
    let value = parser.any();
    value && parser.words.is_empty()
}

/// What is left of an expression to read. AND binds tighter than OR.
struct Expression<'a> {
    words: &'a [&'a str],
    allowed: &'a BTreeSet<String>,
}

impl Expression<'_> {
    fn any(&mut self) -> bool {
        let mut value = self.all();
        while self.eat("OR") {
            value |= self.all();
        }
        value
    }

    fn all(&mut self) -> bool {
        let mut value = self.one();
        while self.eat("AND") {
            value &= self.one();
        }
        value
    }

    fn one(&mut self) -> bool {
        if self.eat("(") {
            let value = self.any();
            return self.eat(")") && value;
        }
        let Some((first, rest)) = self.words.split_first() else { return false };
        self.words = rest;
        // An exception only adds permissions, but it is a term of its own in the list.
        if self.eat("WITH") {
            let Some((exception, rest)) = self.words.split_first() else { return false };
            self.words = rest;
            return self.allowed.contains(&format!("{first} WITH {exception}"));
        }
        self.allowed.contains(*first)
    }

    fn eat(&mut self, word: &str) -> bool {
        let found = self.words.first() == Some(&word);
        self.words = &self.words[usize::from(found)..];
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expression_is_satisfied_by_any_allowed_choice() {
        let allowed =
            ["MIT", "Apache-2.0", "Apache-2.0 WITH LLVM-exception"].map(str::to_owned).into();
        let check = |expression: &str, expect: bool| {
            assert_eq!(satisfied(expression, &allowed), expect, "{expression}");
        };
        check("MIT", true);
        check("GPL-3.0", false);
        check("GPL-3.0 OR MIT", true);
        check("GPL-3.0/MIT", true);
        check("MIT AND GPL-3.0", false);
        check("(MIT OR GPL-3.0) AND Apache-2.0", true);
        check("MIT OR GPL-3.0 AND BSD-3-Clause", true);
        check("Apache-2.0 WITH LLVM-exception", true);
        check("MIT WITH LLVM-exception", false);
        check("(MIT", false);
        check("", false);
    }
}
