//! What goes to standard output: whether to use colours, the few styles that are used, JSON.

use std::env;
use std::fmt::{self, Display};
use std::io::{self, IsTerminal, Write};

use serde::Serialize;

use crate::cli::{Output, When};

/// Whether the standard output gets colours.
pub(crate) fn stdout_colors(when: When) -> bool {
    colors(when, io::stdout().is_terminal())
}

/// The styles for messages on the standard error.
pub(crate) fn stderr_palette(when: When) -> Palette {
    Palette { colors: colors(when, io::stderr().is_terminal()) }
}

/// `auto` follows the terminal and the convention of no-color.org.
fn colors(when: When, terminal: bool) -> bool {
    match when {
        When::Always => true,
        When::Never => false,
        When::Auto => {
            let set = |name: &str| env::var_os(name).is_some_and(|value| !value.is_empty());
            terminal && !set("NO_COLOR") && env::var_os("TERM").is_none_or(|term| term != "dumb")
        }
    }
}

/// Prints an answer: for people as `text` does it, for programs as what it is.
pub(crate) fn print(
    output: Output,
    value: &impl Serialize,
    out: &mut dyn Write,
    text: impl FnOnce(&mut dyn Write) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    match output {
        Output::Text => text(out),
        Output::Json => json(value, out),
        Output::Yaml => yaml(value, out),
    }
}

/// Writes one YAML document.
pub(crate) fn yaml(value: &impl Serialize, out: &mut dyn Write) -> anyhow::Result<()> {
    Ok(write!(out, "{}", serin_api::yaml::write(&serde_json::to_value(value)?))?)
}

/// Writes one JSON document and a newline.
pub(crate) fn json(value: &impl Serialize, out: &mut dyn Write) -> anyhow::Result<()> {
    // As a whole: serde_json wraps errors of the output, and a closed pipe shall be known as one.
    writeln!(out, "{}", serde_json::to_string_pretty(value)?)?;
    Ok(())
}

/// Styles by meaning.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Palette {
    /// Plain text if false.
    pub(crate) colors: bool,
}

impl Palette {
    /// What went wrong.
    pub(crate) const fn error<T: Display>(self, text: T) -> Styled<T> {
        self.style("1;31", text)
    }

    /// What deserves a second look.
    pub(crate) const fn warning<T: Display>(self, text: T) -> Styled<T> {
        self.style("1;33", text)
    }

    /// What is as it should be.
    pub(crate) const fn good<T: Display>(self, text: T) -> Styled<T> {
        self.style("1;32", text)
    }

    /// Headings.
    pub(crate) const fn strong<T: Display>(self, text: T) -> Styled<T> {
        self.style("1", text)
    }

    /// What may be passed over in reading.
    pub(crate) const fn faint<T: Display>(self, text: T) -> Styled<T> {
        self.style("2", text)
    }

    const fn style<T: Display>(self, code: &'static str, text: T) -> Styled<T> {
        Styled { code: if self.colors { Some(code) } else { None }, text }
    }
}

/// A text in a style. Padding is applied to the text, not to the invisible codes around it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Styled<T> {
    code: Option<&'static str>,
    text: T,
}

impl<T: Display> Display for Styled<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(code) = self.code else { return self.text.fmt(f) };
        write!(f, "\x1b[{code}m")?;
        self.text.fmt(f)?;
        f.write_str("\x1b[0m")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn always_and_never_do_not_ask_the_terminal() {
        assert!(colors(When::Always, false));
        assert!(!colors(When::Never, true));
        assert!(!colors(When::Auto, false));
    }

    #[test]
    fn codes_stand_outside_the_padding() {
        let on = Palette { colors: true };
        assert_eq!(format!("{:4}|", on.strong("a")), "\x1b[1ma   \x1b[0m|");
        assert_eq!(format!("{:4}|", Palette { colors: false }.strong("a")), "a   |");
    }
}
