//! Which version answered, and whether it did so as often as its weight says.

use super::crowd::Answer;

/// The version of reviews, by the name of the pod that answered.
pub(super) fn of_reviews(answer: &Answer) -> Option<String> {
    let (_, name) = answer.body.split_once("reviews-v")?;
    let number: String = name.chars().take_while(char::is_ascii_digit).collect();
    Some(format!("v{number}"))
}

/// Whether a count is within what chance allows: five standard deviations, which it leaves once in a million.
pub(super) fn is_share(count: u64, of: u64, share: f64) -> bool {
    let (count, of) = (count as f64, of as f64);
    let deviation = (of * share * (1.0 - share)).sqrt();
    of > 0.0 && (count - of * share).abs() <= 5.0 * deviation
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pod_tells_the_version() {
        let answer = |body: &str| Answer {
            status: 200,
            headers: http::HeaderMap::new(),
            body: body.to_owned(),
        };
        let told = answer(r#"{"id": "0", "podname": "reviews-v2-5f7d-abc", "reviews": []}"#);
        assert_eq!(of_reviews(&told).as_deref(), Some("v2"));
        assert_eq!(of_reviews(&answer("no reviews")), None);
    }

    #[test]
    fn chance_is_allowed_and_no_more() {
        assert!(is_share(10, 100, 0.1) && is_share(20, 100, 0.1) && is_share(100, 100, 1.0));
        assert!(!is_share(30, 100, 0.1) && !is_share(99, 100, 1.0) && !is_share(0, 0, 0.5));
    }
}
