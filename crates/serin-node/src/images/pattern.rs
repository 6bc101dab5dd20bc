//! Patterns of image names, and command lines.

/// What is left out of an image's name where a pattern does not have it.
const USUAL: [&str; 3] = ["docker.io/library/", "docker.io/", "library/"];

/// Whether a pattern, in which `*` is anything, means an image. A name without a registry is the usual one's, and one without a tag
/// has `latest`.
pub(super) fn matches_image(pattern: &str, image: &str) -> bool {
    let mut names = vec![image.to_owned()];
    let last = image.rsplit('/').next().unwrap_or_default();
    if !last.contains([':', '@']) {
        names.push(format!("{image}:latest"));
    }
    for prefix in USUAL {
        for index in 0..names.len() {
            let short = names.get(index).and_then(|name| name.strip_prefix(prefix));
            if let Some(short) = short.map(str::to_owned) {
                names.push(short);
            }
        }
    }
    names.iter().any(|name| matches(pattern.as_bytes(), name.as_bytes()))
}

fn matches(pattern: &[u8], name: &[u8]) -> bool {
    match pattern.split_first() {
        None => name.is_empty(),
        Some((b'*', rest)) => {
            (0..=name.len()).any(|skip| matches(rest, name.get(skip..).unwrap_or_default()))
        }
        Some((byte, rest)) => {
            name.split_first().is_some_and(|(first, name)| first == byte && matches(rest, name))
        }
    }
}

/// The words of a command line, with the quotes of a shell.
///
/// # Errors
/// A quote is not closed.
pub(super) fn words(line: &str) -> Result<Vec<String>, &'static str> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut chars = line.chars();
    while let Some(next) = chars.next() {
        match (quote, next) {
            (Some(open), close) if open == close => quote = None,
            (Some('"') | None, '\\') => {
                let escaped = chars.next().ok_or("ends with a backslash")?;
                word.get_or_insert_default().push(escaped);
            }
            (Some(_), other) => word.get_or_insert_default().push(other),
            (None, '\'' | '"') => {
                quote = Some(next);
                word.get_or_insert_default();
            }
            (None, space) if space.is_whitespace() => words.extend(word.take()),
            (None, other) => word.get_or_insert_default().push(other),
        }
    }
    if quote.is_some() {
        return Err("has a quote that is not closed");
    }
    words.extend(word);
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_mean_images_with_and_without_registry_and_tag() {
        let check = |pattern: &str, image: &str, expect: bool| {
            assert_eq!(matches_image(pattern, image), expect, "{pattern} {image}");
        };
        check("reviews:*", "reviews:v1", true);
        check("reviews:*", "reviews", true);
        check("reviews:*", "docker.io/library/reviews:v1", true);
        check("reviews:*", "example.com/reviews:v1", false);
        check("*/reviews:v1", "example.com/shop/reviews:v1", true);
        check("*", "localhost:5000/x", true);
        check("istio/*-v1:*", "docker.io/istio/reviews-v1:1.20", true);
        check("reviews", "reviews:v2", false);
    }

    #[test]
    fn command_lines_are_read_as_a_shell_reads_them() {
        let check = |line: &str, expect: &[&str]| assert_eq!(words(line).unwrap(), expect);
        check("sh -c 'echo \"a b\"'", &["sh", "-c", "echo \"a b\""]);
        check(r#"a\ b "c\"d" ''"#, &["a b", "c\"d", ""]);
        check("  ", &[]);
        assert!(words("'a").is_err());
    }
}
