//! The new path of a request.

use crate::matching::matched_length;
use crate::model::{PathMatch, PathRewrite};
use crate::request::split_target;

/// The target with its path rewritten; the query stays.
pub(crate) fn rewritten_target(
    rewrite: &PathRewrite,
    matched: &PathMatch,
    target: &[u8],
) -> Vec<u8> {
    let (path, _) = split_target(target);
    let rest = &target[path.len()..];
    let mut new = match rewrite {
        PathRewrite::Prefix(prefix) => replace_prefix(matched, path, prefix),
        PathRewrite::Full(full) => full.as_bytes().to_vec(),
        PathRewrite::Regex { pattern, substitution } => {
            pattern.replace_all(path, substitution).into_owned()
        }
    };
    new.extend_from_slice(rest);
    new
}

/// The path with what the condition matched replaced by `prefix`.
pub(super) fn replace_prefix(matched: &PathMatch, path: &[u8], prefix: &str) -> Vec<u8> {
    let rest = &path[matched_length(matched, path)..];
    let mut new;
    if let PathMatch::Segments(_) = matched {
        // The Gateway API's `ReplacePrefixMatch`: whole segments are replaced, and slashes neither doubled nor lost.
        new = prefix.trim_end_matches('/').as_bytes().to_vec();
        new.extend_from_slice(rest);
        if new.is_empty() {
            new.push(b'/');
        }
    } else {
        new = prefix.as_bytes().to_vec();
        new.extend_from_slice(rest);
    }
    new
}

#[cfg(test)]
mod tests {
    use serin_re2::{Regex, Rewrite};

    use super::*;

    #[track_caller]
    fn check(matched: PathMatch, rewrite: PathRewrite, target: &str, expected: &str) {
        let new = rewritten_target(&rewrite, &matched, target.as_bytes());
        assert_eq!(
            String::from_utf8(new).unwrap(),
            expected,
            "{rewrite:?} of {target} matched by {matched:?}"
        );
    }

    #[test]
    fn a_prefix_rewrite_replaces_the_matched_prefix_and_nothing_else() {
        let check = |matched: &str, new: &str, target: &str, expected: &str| {
            check(
                PathMatch::Prefix(matched.into()),
                PathRewrite::Prefix(new.into()),
                target,
                expected,
            );
        };
        check("/api/", "/", "/api/x?y=/api/", "/x?y=/api/");
        check("/api", "/", "/api/x", "//x");
        check("/api", "/v2", "/apix", "/v2x");
        check("/", "/new", "/x", "/newx");
    }

    #[test]
    fn a_prefix_rewrite_of_an_exact_or_regular_path_replaces_all_of_it() {
        check(PathMatch::Exact("/a".into()), PathRewrite::Prefix("/b".into()), "/a?q", "/b?q");
        let regex = PathMatch::Regex(Regex::new("/a.*").unwrap());
        check(regex, PathRewrite::Prefix("/b".into()), "/a/x?q", "/b?q");
    }

    #[test]
    fn without_a_path_condition_the_prefix_is_the_first_slash() {
        check(PathMatch::Any, PathRewrite::Prefix("/new/".into()), "/x", "/new/x");
    }

    #[test]
    fn segments_are_replaced_as_the_gateway_api_lists() {
        let check = |matched: &str, new: &str, target: &str, expected: &str| {
            check(
                PathMatch::Segments(matched.into()),
                PathRewrite::Prefix(new.into()),
                target,
                expected,
            );
        };
        check("/foo", "/xyz", "/foo/bar", "/xyz/bar");
        check("/foo", "/xyz/", "/foo/bar", "/xyz/bar");
        check("/foo", "/xyz", "/foo", "/xyz");
        check("/foo", "/xyz", "/foo/", "/xyz/");
        check("/foo", "", "/foo/bar", "/bar");
        check("/foo", "", "/foo/", "/");
        check("/foo", "", "/foo", "/");
        check("/foo", "/", "/foo/", "/");
        check("/foo", "/", "/foo?q", "/?q");
        check("", "/xyz", "/bar", "/xyz/bar");
    }

    #[test]
    fn a_full_rewrite_keeps_the_query() {
        check(PathMatch::Any, PathRewrite::Full("/new".into()), "/old/x?q=1", "/new?q=1");
    }

    #[test]
    fn a_regular_rewrite_replaces_every_match_in_the_path() {
        let pattern = Regex::new("/v([0-9]+)").unwrap();
        let substitution = Rewrite::parse("/version/\\1", pattern.groups()).unwrap();
        let rewrite = PathRewrite::Regex { pattern, substitution };
        check(PathMatch::Any, rewrite, "/v1/x/v2?to=/v3", "/version/1/x/version/2?to=/v3");
    }
}
