//! Reads a pattern as RE2 and Go's `regexp/syntax` do with Perl's syntax on: the patterns both accept, plus `\C`.
//!
//! Groups are kept on a stack of this parser's own, so deep nesting is a refusal and never a stack overflow.

use crate::ast::{Look, Node, Repeat, Rune};
use crate::error::{Error, ErrorKind};

mod bracket;
mod escape;
mod group;
mod piece;

use group::{Flags, Frame};
use piece::Piece;

/// The highest bound of a counted repetition, nested ones multiplied.
const MAX_REPEAT: u32 = 1000;

/// The longest pattern, in bytes. RE2 has no such limit, but its users do: 1024 in Istio, 4096 in the Gateway API.
const MAX_LENGTH: usize = 16_384;

/// Parses a pattern into its tree and the number of its groups.
pub(crate) fn parse(pattern: &str) -> Result<(Node, usize), Error> {
    if pattern.len() > MAX_LENGTH {
        return Err(Error::new(ErrorKind::TooLarge, 0, ""));
    }
    let mut parser = Parser {
        pattern,
        position: 0,
        flags: Flags::default(),
        frames: Vec::new(),
        current: Frame::root(),
        names: Vec::new(),
        groups: 0,
    };
    parser.run()?;
    let Parser { frames, current, groups, .. } = parser;
    match frames.last() {
        // The innermost open group.
        Some(_) => Err(Error::new(
            ErrorKind::MissingParenthesis,
            current.opened_at,
            &pattern[current.opened_at..],
        )),
        None => Ok((current.finish(pattern)?.node, groups)),
    }
}

struct Parser<'p> {
    pattern: &'p str,
    /// The byte offset of the next character.
    position: usize,
    flags: Flags,
    /// The groups around the current one, outermost first.
    frames: Vec<Frame>,
    current: Frame,
    names: Vec<&'p str>,
    groups: usize,
}

impl<'p> Parser<'p> {
    fn run(&mut self) -> Result<(), Error> {
        // Where the repetition that was just read starts; another one must not follow it.
        let mut repetition: Option<usize> = None;
        while let Some(next) = self.peek() {
            let start = self.position;
            let previous = repetition.take();
            match next {
                '(' => self.open_group()?,
                ')' => self.close_group()?,
                '|' => {
                    self.position += 1;
                    self.current.next_branch(self.pattern)?;
                }
                '[' => {
                    let class = self.bracket()?;
                    self.push(Piece::class(class))?;
                }
                '*' | '+' | '?' => {
                    self.position += 1;
                    let (min, max) = match next {
                        '*' => (0, None),
                        '+' => (1, None),
                        _ => (0, Some(1)),
                    };
                    self.repeat(start, previous, min, max)?;
                    repetition = Some(start);
                }
                '{' => match self.bounds()? {
                    Some((min, max)) => {
                        self.repeat(start, previous, min, max)?;
                        repetition = Some(start);
                    }
                    // Braces that are no repetition stand for themselves.
                    None => self.literal_char()?,
                },
                '^' if self.flags.multi_line => self.look(1, Look::LineStart)?,
                '^' => self.look(1, Look::TextStart)?,
                '$' if self.flags.multi_line => self.look(1, Look::LineEnd)?,
                '$' => self.look(1, Look::TextEnd)?,
                '.' => {
                    self.position += 1;
                    self.push(Piece::dot(self.flags.dot_newline))?;
                }
                '\\' => self.escape()?,
                _ => self.literal_char()?,
            }
        }
        Ok(())
    }

    fn rest(&self) -> &'p str {
        &self.pattern[self.position..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn peek_byte(&self, ahead: usize) -> Option<u8> {
        self.pattern.as_bytes().get(self.position + ahead).copied()
    }

    fn take(&mut self) -> Option<char> {
        let next = self.peek()?;
        self.position += next.len_utf8();
        Some(next)
    }

    /// The error `kind` for the text from `start` up to the current position.
    fn error(&self, kind: ErrorKind, start: usize) -> Error {
        Error::new(kind, start, &self.pattern[start..self.position])
    }

    fn push(&mut self, piece: Piece) -> Result<(), Error> {
        self.current.push(piece);
        Ok(())
    }

    fn look(&mut self, length: usize, look: Look) -> Result<(), Error> {
        self.position += length;
        self.push(Piece::look(look))
    }

    fn literal_char(&mut self) -> Result<(), Error> {
        match self.take() {
            Some(next) => self.literal(u32::from(next)),
            None => Ok(()),
        }
    }

    fn literal(&mut self, rune: Rune) -> Result<(), Error> {
        self.push(Piece::literal(rune, self.flags.fold_case))
    }

    /// Applies a repetition whose operator starts at `start` to the last piece.
    fn repeat(
        &mut self,
        start: usize,
        previous: Option<usize>,
        min: u32,
        max: Option<u32>,
    ) -> Result<(), Error> {
        let mut greedy = !self.flags.swap_greed;
        if self.peek() == Some('?') {
            self.position += 1;
            greedy = !greedy;
        }
        if let Some(previous) = previous {
            return Err(self.error(ErrorKind::StackedRepetition, previous));
        }
        let Some(piece) = self.current.pop() else {
            return Err(self.error(ErrorKind::NothingToRepeat, start));
        };
        let piece = piece
            .repeat(|node| Repeat { min, max, greedy, node })
            .map_err(|kind| self.error(kind, start))?;
        self.push(piece)
    }

    /// Reads `{n}`, `{n,}` or `{n,m}`, or nothing if the text is none of them.
    fn bounds(&mut self) -> Result<Option<(u32, Option<u32>)>, Error> {
        let start = self.position;
        let Some((min, max, length)) = parse_bounds(self.rest()) else { return Ok(None) };
        self.position += length;
        if min > MAX_REPEAT || max.is_some_and(|max| max > MAX_REPEAT || max < min) {
            return Err(self.error(ErrorKind::RepetitionSize, start));
        }
        Ok(Some((min, max)))
    }
}

/// Splits `{n}`, `{n,}` or `{n,m}` off the start of a text: the bounds and the length of what was read.
fn parse_bounds(text: &str) -> Option<(u32, Option<u32>, usize)> {
    let inside = text.strip_prefix('{')?;
    let length = inside.bytes().position(|byte| !matches!(byte, b'0'..=b'9' | b','))?;
    let (inside, closing) = inside.split_at(length);
    if !closing.starts_with('}') {
        return None;
    }
    let (min, max) = match inside.split_once(',') {
        None => {
            let n = parse_count(inside)?;
            (n, Some(n))
        }
        Some((min, "")) => (parse_count(min)?, None),
        Some((min, max)) => (parse_count(min)?, Some(parse_count(max)?)),
    };
    Some((min, max, inside.len() + 2))
}

/// A count without leading zeros; a number too large to hold becomes one that is over every limit.
fn parse_count(text: &str) -> Option<u32> {
    let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let leading_zero = text.len() > 1 && text.starts_with('0');
    (plain && !leading_zero).then(|| text.parse().unwrap_or(u32::MAX))
}
