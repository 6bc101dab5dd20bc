//! Paths of a form: `{*}` stands for one segment, `{**}` for any number of them (Envoy's URI templates, without names).

use std::sync::Arc;

use serde::Serialize;

/// A form of paths.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PathTemplate(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
enum Part {
    Text(Arc<str>),
    /// One segment, not empty.
    One,
    /// Anything.
    Any,
}

impl PathTemplate {
    /// The form that a policy writes; `None` if it is a plain path.
    pub fn new(written: &str) -> Option<Self> {
        let mut parts = Vec::new();
        let mut rest = written;
        while let Some(begin) = rest.find("{*") {
            let (text, wildcard) = rest.split_at(begin);
            let (part, after) = if let Some(after) = wildcard.strip_prefix("{**}") {
                (Part::Any, after)
            } else {
                (Part::One, wildcard.strip_prefix("{*}")?)
            };
            if !text.is_empty() {
                parts.push(Part::Text(text.into()));
            }
            parts.push(part);
            rest = after;
        }
        if parts.is_empty() {
            return None;
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.into()));
        }
        Some(Self(parts))
    }

    /// Whether a path, without its query, has the form.
    pub fn fits(&self, path: &[u8]) -> bool {
        fits(&self.0, path)
    }
}

fn fits(parts: &[Part], path: &[u8]) -> bool {
    let Some((part, parts)) = parts.split_first() else { return path.is_empty() };
    match part {
        Part::Text(text) => {
            path.strip_prefix(text.as_bytes()).is_some_and(|rest| fits(parts, rest))
        }
        Part::One => {
            let end = path.iter().position(|byte| *byte == b'/').unwrap_or(path.len());
            (1..=end).rev().any(|end| fits(parts, &path[end..]))
        }
        Part::Any if parts.is_empty() => true,
        Part::Any => (0..=path.len()).any(|begin| fits(parts, &path[begin..])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(template: &str, path: &str, expect: bool) {
        let made = PathTemplate::new(template).unwrap();
        assert_eq!(made.fits(path.as_bytes()), expect, "{template} {path}");
    }

    #[test]
    fn one_segment_is_one_and_not_empty() {
        check("/a/{*}", "/a/b", true);
        check("/a/{*}", "/a/", false);
        check("/a/{*}", "/a/b/c", false);
        check("/{*}/b/{*}", "/a/b/c", true);
        check("/a/{*}.txt", "/a/b.txt", true);
        check("/a/{*}.txt", "/a/b.txt.old", false);
    }

    #[test]
    fn any_number_of_segments_may_be_none() {
        check("/a/{**}", "/a/", true);
        check("/a/{**}", "/a/b/c", true);
        check("/a/{**}", "/a", false);
        check("/a/{**}/z", "/a/b/c/z", true);
        check("/a/{**}/z", "/a/b/c", false);
        check("/{*}/{**}", "/a/b/c", true);
    }

    #[test]
    fn plain_paths_are_no_templates() {
        for plain in ["/a", "/a*", "*", "/a/{b}"] {
            assert_eq!(PathTemplate::new(plain), None, "{plain}");
        }
    }
}
