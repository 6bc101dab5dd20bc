//! The small parts that pages are made of: states by word and shape, numbers with units, commands to type.

use k8s_openapi::jiff::Timestamp;
use maud::{Markup, html};
use serde::Serialize;

use crate::page::Query;

/// How well something is. Each has a shape of its own, so that no colour is needed to tell them apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum State {
    /// As it should be.
    Good,
    /// On its way.
    Busy,
    /// Nothing to tell.
    #[default]
    Idle,
    /// Worth a look.
    Odd,
    /// Broken.
    Bad,
}

impl State {
    const fn class(self) -> &'static str {
        match self {
            Self::Good => "state good",
            Self::Busy => "state busy",
            Self::Idle => "state idle",
            Self::Odd => "state odd",
            Self::Bad => "state bad",
        }
    }

    const fn shape(self) -> &'static str {
        match self {
            Self::Good => "●",
            Self::Busy => "◆",
            Self::Idle => "○",
            Self::Odd => "▲",
            Self::Bad => "■",
        }
    }
}

/// A state with its word.
pub(crate) fn state(state: State, word: &str) -> Markup {
    html! { span class=(state.class()) { span.shape aria-hidden="true" { (state.shape()) } " " (word) } }
}

/// A command to type.
pub(crate) fn command(line: &str) -> Markup {
    html! { code.command { (line) } }
}

/// A share in percent, with as many digits as are worth reading.
pub(crate) fn percent(share: f64) -> String {
    let value = share * 100.0;
    match value {
        _ if value >= 100.0 => "100 %".to_owned(),
        // What is not all must not look like it.
        _ if value > 99.9 => format!("{:.2} %", (value * 100.0).floor() / 100.0),
        _ if value >= 10.0 => format!("{value:.1} %"),
        _ => format!("{value:.2} %"),
    }
}

/// Requests a second.
pub(crate) fn rate(value: Option<f64>) -> String {
    let Some(value) = value else { return "–".to_owned() };
    match value {
        _ if value >= 100.0 => format!("{value:.0}/s"),
        _ if value >= 0.05 || value == 0.0 => format!("{value:.1}/s"),
        _ => format!("{value:.2}/s"),
    }
}

/// Milliseconds.
pub(crate) fn milliseconds(value: Option<f64>) -> String {
    match value {
        None => "–".to_owned(),
        Some(value) if value >= 10_000.0 => format!("{:.1} s", value / 1000.0),
        Some(value) if value >= 10.0 => format!("{value:.0} ms"),
        Some(value) => format!("{value:.1} ms"),
    }
}

/// A share that may not be known.
pub(crate) fn share(value: Option<f64>) -> String {
    value.map_or_else(|| "–".to_owned(), percent)
}

/// A moment. The script shows it in the reader's own time zone.
pub(crate) fn moment(text: &str) -> Markup {
    html! {
        @match text.parse::<Timestamp>() {
            Ok(time) => time datetime=(time.to_string()) { (time.strftime("%H:%M:%S UTC").to_string()) },
            Err(_) => (text),
        }
    }
}

/// `1 pod`, `2 pods`.
pub(crate) fn count(number: usize, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

/// A text as part of a path of a link.
pub(crate) fn segment(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// Wide content that scrolls by itself on a narrow screen, by keyboard, too.
pub(crate) fn scroll(label: &str, content: &Markup) -> Markup {
    html! { div.scroll role="region" aria-label=(label) tabindex="0" { (content) } }
}

/// Links to the other pages of a long list.
pub(crate) fn pages(query: &Query, path: &str, total: usize, rows: usize) -> Markup {
    let (at, last) = (query.page(), total.saturating_sub(1) / rows);
    let link = |page: usize| format!("{path}?{}", query.with("page", &page.to_string()));
    html! {
        @if last > 0 {
            nav.pages aria-label="Pages of the list" {
                @if at > 0 { a href=(link(at)) rel="prev" { "Before" } " " }
                span.quiet { "page " (at + 1) " of " (last + 1) }
                @if at < last { " " a href=(link(at + 2)) rel="next" { "Next" } }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_units_and_no_needless_digits() {
        assert_eq!(percent(1.0), "100 %");
        assert_eq!(percent(0.999_99), "99.99 %");
        assert_eq!(percent(0.9987), "99.9 %");
        assert_eq!(percent(0.05), "5.00 %");
        assert_eq!(rate(None), "–");
        assert_eq!(rate(Some(0.0)), "0.0/s");
        assert_eq!(rate(Some(1234.5)), "1234/s");
        assert_eq!(milliseconds(Some(7.25)), "7.2 ms");
        assert_eq!(milliseconds(Some(130.4)), "130 ms");
        assert_eq!(milliseconds(None), "–");
    }

    #[test]
    fn links_take_any_name() {
        assert_eq!(segment("a/b c"), "a%2Fb%20c");
    }

    #[test]
    fn a_state_is_a_word_and_a_shape() {
        insta::assert_snapshot!(
            state(State::Bad, "rolled back").into_string(),
            @r#"<span class="state bad"><span class="shape" aria-hidden="true">■</span> rolled back</span>"#
        );
    }
}
