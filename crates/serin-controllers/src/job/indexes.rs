//! Sets of indexes as a Job's status writes them: `0-2,5`.

use std::collections::BTreeSet;

/// Reads a set. What cannot be read is left out.
pub(super) fn parse(text: &str) -> BTreeSet<i32> {
    let mut all = BTreeSet::new();
    for part in text.split(',').filter(|part| !part.is_empty()) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        if let (Ok(first), Ok(last)) = (first.parse::<i32>(), last.parse::<i32>()) {
            all.extend(first..=last);
        }
    }
    all
}

/// Writes a set. Two in a row stay two, as `3,4`.
pub(super) fn text(indexes: &BTreeSet<i32>) -> String {
    let mut runs: Vec<(i32, i32)> = Vec::new();
    for index in indexes {
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == *index => *last = *index,
            _ => runs.push((*index, *index)),
        }
    }
    let run = |(first, last): &(i32, i32)| match last - first {
        0 => first.to_string(),
        1 => format!("{first},{last}"),
        _ => format!("{first}-{last}"),
    };
    runs.iter().map(run).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_are_read_as_they_are_written() {
        for text in ["", "0", "0,1", "0-2", "0-2,5", "1,3-9,11,12,14-16"] {
            assert_eq!(super::text(&parse(text)), text);
        }
        assert_eq!(parse("2-4"), [2, 3, 4].into());
        assert_eq!(parse("x,7"), [7].into());
    }
}
