//! Groups, flags and alternatives.

use super::Parser;
use super::piece::Piece;
use crate::error::{Error, ErrorKind};

/// What `(?imsU)` switches.
#[derive(Clone, Copy, Default)]
pub(super) struct Flags {
    /// `i`: letters match both cases.
    pub(super) fold_case: bool,
    /// `m`: `^` and `$` match at line feeds too.
    pub(super) multi_line: bool,
    /// `s`: `.` matches a line feed too.
    pub(super) dot_newline: bool,
    /// `U`: repetitions are lazy and `?` makes them greedy.
    pub(super) swap_greed: bool,
}

/// A group that is being read.
pub(super) struct Frame {
    pub(super) opened_at: usize,
    /// Whether the group has a number.
    numbered: bool,
    /// The flags to return to behind the group.
    outer_flags: Flags,
    branches: Vec<Piece>,
    /// The pieces of the branch that is being read.
    pieces: Vec<Piece>,
}

impl Frame {
    /// The pattern as a whole.
    pub(super) fn root() -> Self {
        Self::new(0, false, Flags::default())
    }

    fn new(opened_at: usize, numbered: bool, outer_flags: Flags) -> Self {
        Self { opened_at, numbered, outer_flags, branches: Vec::new(), pieces: Vec::new() }
    }

    pub(super) fn push(&mut self, piece: Piece) {
        self.pieces.push(piece);
    }

    pub(super) fn pop(&mut self) -> Option<Piece> {
        self.pieces.pop()
    }

    pub(super) fn next_branch(&mut self, pattern: &str) -> Result<(), Error> {
        let branch = Piece::concat(std::mem::take(&mut self.pieces))
            .map_err(|kind| self.error(kind, pattern))?;
        self.branches.push(branch);
        Ok(())
    }

    pub(super) fn finish(mut self, pattern: &str) -> Result<Piece, Error> {
        self.next_branch(pattern)?;
        let branches = std::mem::take(&mut self.branches);
        let piece = Piece::alternate(branches);
        let piece = if self.numbered { piece.and_then(Piece::group) } else { piece };
        piece.map_err(|kind| self.error(kind, pattern))
    }

    fn error(&self, kind: ErrorKind, pattern: &str) -> Error {
        Error::new(
            kind,
            self.opened_at,
            pattern.get(self.opened_at..self.opened_at + 1).unwrap_or(""),
        )
    }
}

impl<'p> Parser<'p> {
    /// Reads `(`, `(?:`, `(?P<name>`, `(?<name>`, `(?flags)` or `(?flags:`.
    pub(super) fn open_group(&mut self) -> Result<(), Error> {
        let start = self.position;
        let rest = self.rest();
        if !rest.starts_with("(?") {
            self.position += 1;
            self.enter(start, true, self.flags);
            return Ok(());
        }
        for look_around in ["(?=", "(?!", "(?<=", "(?<!"] {
            if rest.starts_with(look_around) {
                self.position += look_around.len();
                return Err(self.error(ErrorKind::LookAround, start));
            }
        }
        for named in ["(?P<", "(?<"] {
            if rest.starts_with(named) {
                self.position += named.len();
                return self.named_group(start);
            }
        }
        self.position += 2;
        self.flags_or_group(start)
    }

    fn enter(&mut self, start: usize, numbered: bool, outer_flags: Flags) {
        self.groups += usize::from(numbered);
        let inner = Frame::new(start, numbered, outer_flags);
        self.frames.push(std::mem::replace(&mut self.current, inner));
    }

    fn named_group(&mut self, start: usize) -> Result<(), Error> {
        let rest = self.rest();
        let name = rest.split_once('>').map_or(rest, |(name, _)| name);
        let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        self.position += name.len();
        if name.is_empty() || name.len() == rest.len() || !name.bytes().all(word) {
            return Err(self.error(ErrorKind::InvalidGroupName, start));
        }
        self.position += 1;
        if self.names.contains(&name) {
            return Err(self.error(ErrorKind::DuplicateGroupName, start));
        }
        self.names.push(name);
        self.enter(start, true, self.flags);
        Ok(())
    }

    fn flags_or_group(&mut self, start: usize) -> Result<(), Error> {
        let outer = self.flags;
        let mut flags = outer;
        // Whether flags are switched off, and whether one was named since.
        let (mut off, mut named) = (false, false);
        while let Some(next) = self.take() {
            let flag = match next {
                'i' => &mut flags.fold_case,
                'm' => &mut flags.multi_line,
                's' => &mut flags.dot_newline,
                'U' => &mut flags.swap_greed,
                '-' if !off => {
                    (off, named) = (true, false);
                    continue;
                }
                ':' | ')' if !off || named => {
                    self.flags = flags;
                    if next == ':' {
                        self.enter(start, false, outer);
                    }
                    return Ok(());
                }
                _ => return Err(self.error(ErrorKind::InvalidGroup, start)),
            };
            *flag = !off;
            named = true;
        }
        Err(self.error(ErrorKind::MissingParenthesis, start))
    }

    pub(super) fn close_group(&mut self) -> Result<(), Error> {
        let start = self.position;
        self.position += 1;
        let Some(outer) = self.frames.pop() else {
            return Err(self.error(ErrorKind::UnexpectedParenthesis, start));
        };
        let inner = std::mem::replace(&mut self.current, outer);
        self.flags = inner.outer_flags;
        let piece = inner.finish(self.pattern)?;
        self.push(piece)
    }
}
