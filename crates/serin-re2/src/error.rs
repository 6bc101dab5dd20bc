//! Why a pattern or a rewrite string is refused, where, and what its author can do about it.

use std::fmt;

/// A refused pattern: what is wrong, where, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    kind: ErrorKind,
    offset: usize,
    text: Box<str>,
}

/// What is wrong with a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ErrorKind {
    /// The pattern ends in the middle of an escape sequence.
    #[error("the pattern ends with a lone backslash")]
    TrailingBackslash,
    /// An escape sequence that RE2 does not define.
    #[error("RE2 knows no such escape sequence")]
    InvalidEscape,
    /// `\1` to `\9`.
    #[error("RE2 has no back-references")]
    BackReference,
    /// `(?=`, `(?!`, `(?<=` or `(?<!`.
    #[error("RE2 has no look-ahead and no look-behind")]
    LookAround,
    /// `(?` followed by something that is neither a flag nor a group name.
    #[error("RE2 knows no such group or flag")]
    InvalidGroup,
    /// A group name that is empty, not closed, or has other characters than letters, digits and `_`.
    #[error("the name of the group is not valid")]
    InvalidGroupName,
    /// Two groups of one name.
    #[error("another group has this name already")]
    DuplicateGroupName,
    /// `[` without its `]`.
    #[error("the character class is not closed")]
    MissingBracket,
    /// `(` without its `)`.
    #[error("the group is not closed")]
    MissingParenthesis,
    /// `)` without its `(`.
    #[error("this parenthesis closes no group")]
    UnexpectedParenthesis,
    /// A range whose end comes before its start, or whose end is not a character.
    #[error("the range in the character class is not valid")]
    InvalidRange,
    /// `[:name:]` or `\p{name}` with a name that RE2 does not define.
    #[error("RE2 knows no character class of this name")]
    UnknownClass,
    /// `*`, `+`, `?` or `{n}` with nothing before it.
    #[error("there is nothing here to repeat")]
    NothingToRepeat,
    /// `a**`, `a++`, `a{2}{3}`.
    #[error("a repetition cannot follow a repetition")]
    StackedRepetition,
    /// A counted repetition above 1000, also by nesting, or with its bounds reversed.
    #[error("the bounds of the repetition are not valid")]
    RepetitionSize,
    /// Groups nested too deeply.
    #[error("the pattern nests too deeply")]
    TooDeep,
    /// The compiled pattern would be larger than Envoy accepts.
    #[error("the pattern is too large")]
    TooLarge,
}

impl ErrorKind {
    /// What the author of the pattern can do.
    fn help(self) -> &'static str {
        match self {
            Self::TrailingBackslash => "write `\\\\` for a backslash",
            Self::InvalidEscape => {
                "only punctuation may be escaped freely; the end of the text is `\\z`"
            }
            Self::BackReference => "repeat the group's own pattern, or match in two rules",
            Self::LookAround => {
                "match the whole text, and express what must not be there in a rule before this one or with `withoutHeaders`"
            }
            Self::InvalidGroup => {
                "the flags are `i`, `m`, `s` and `U`; groups are `(…)`, `(?:…)` and `(?P<name>…)`"
            }
            Self::InvalidGroupName => "use letters, digits and `_`, as in `(?P<name>…)`",
            Self::DuplicateGroupName => "give each group a name of its own",
            Self::MissingBracket => "add a `]`, or write `\\[` for the character itself",
            Self::MissingParenthesis => "add a `)`, or write `\\(` for the character itself",
            Self::UnexpectedParenthesis => "remove it, or write `\\)` for the character itself",
            Self::InvalidRange => {
                "write the lower end first, and put a `-` that stands for itself at the end"
            }
            Self::UnknownClass => "use a name such as `[:alpha:]`, `\\p{Lu}` or `\\p{Greek}`",
            Self::NothingToRepeat => {
                "put an expression before it, such as `.*`, or escape it with a backslash"
            }
            Self::StackedRepetition => "put the first repetition in a group, as in `(?:a+)+`",
            Self::RepetitionSize => "repeat at most 1000 times in all, the lower bound first",
            Self::TooDeep => "use fewer levels of groups",
            Self::TooLarge => "use smaller repetitions or simpler character classes",
        }
    }
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, offset: usize, text: &str) -> Self {
        Self { kind, offset, text: text.into() }
    }

    /// What is wrong.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Where: the byte offset in the pattern at which the offending text starts.
    pub fn offset(&self) -> usize {
        self.offset
    }

    /// The offending part of the pattern; empty if it is the pattern as a whole.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What the author can do.
    pub fn help(&self) -> &'static str {
        self.kind.help()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.text.is_empty() {
            write!(f, "{}", self.kind)?;
        } else {
            write!(f, "`{}` at offset {}: {}", self.text, self.offset, self.kind)?;
        }
        write!(f, "; {}", self.help())
    }
}

impl std::error::Error for Error {}

/// Why a rewrite string is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RewriteError {
    /// The string ends with one backslash.
    #[error(
        "the rewrite string ends with a lone backslash at offset {offset}; write `\\\\` for a backslash"
    )]
    TrailingBackslash {
        /// The byte offset of the backslash.
        offset: usize,
    },
    /// A backslash before something that is neither a digit nor a backslash.
    #[error(
        "the backslash at offset {offset} of the rewrite string must be followed by a digit (the number of a group) or a backslash"
    )]
    InvalidEscape {
        /// The byte offset of the backslash.
        offset: usize,
    },
    /// A reference to a group that the pattern does not have.
    #[error(
        "the rewrite string refers to group {group} at offset {offset}, but the pattern has {groups}; add a group in parentheses"
    )]
    NoSuchGroup {
        /// The byte offset of the backslash.
        offset: usize,
        /// The group referred to.
        group: usize,
        /// How many groups the pattern has.
        groups: usize,
    },
}
