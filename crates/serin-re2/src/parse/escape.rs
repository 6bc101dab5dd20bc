//! What follows a backslash.

use super::Parser;
use super::piece::Piece;
use crate::ast::{Look, MAX_RUNE, Rune};
use crate::class::{self, RuneSet};
use crate::error::{Error, ErrorKind};

impl Parser<'_> {
    /// Reads an escape sequence outside brackets.
    pub(super) fn escape(&mut self) -> Result<(), Error> {
        match self.peek_byte(1) {
            Some(b'A') => return self.look(2, Look::TextStart),
            Some(b'z') => return self.look(2, Look::TextEnd),
            Some(b'b') => return self.look(2, Look::WordBoundary),
            Some(b'B') => return self.look(2, Look::NoWordBoundary),
            Some(b'C') => {
                self.position += 2;
                return self.push(Piece::any_byte());
            }
            Some(b'Q') => return self.quoted(),
            _ => {}
        }
        let mut set = RuneSet::default();
        if self.class_escape(&mut set)? {
            return self.push(Piece::class(set));
        }
        let rune = self.character_escape()?;
        self.literal(rune)
    }

    /// Reads `\Q…\E`; the end of the pattern ends it too.
    fn quoted(&mut self) -> Result<(), Error> {
        self.position += 2;
        let rest = self.rest();
        let (text, end) = rest.split_once("\\E").map_or((rest, 0), |(text, _)| (text, 2));
        for next in text.chars() {
            self.literal(u32::from(next))?;
        }
        self.position += text.len() + end;
        Ok(())
    }

    /// Reads `\d` and its like, `\pN` or `\p{name}` into a set; false if the text is none of them.
    pub(super) fn class_escape(&mut self, set: &mut RuneSet) -> Result<bool, Error> {
        if self.peek_byte(0) != Some(b'\\') {
            return Ok(false);
        }
        let Some(letter) = self.peek_byte(1) else { return Ok(false) };
        let fold = self.flags.fold_case;
        if let Some((ranges, negated)) = class::perl(letter) {
            self.position += 2;
            set.extend(ranges, negated, fold);
            return Ok(true);
        }
        if !matches!(letter, b'p' | b'P') {
            return Ok(false);
        }
        let start = self.position;
        self.position += 2;
        let name = self.property_name(start)?;
        let (name, inverted) = name.strip_prefix('^').map_or((name, false), |name| (name, true));
        let ranges =
            class::unicode(name).ok_or_else(|| self.error(ErrorKind::UnknownClass, start))?;
        set.extend(&ranges, inverted != (letter == b'P'), fold);
        Ok(true)
    }

    fn property_name(&mut self, start: usize) -> Result<&str, Error> {
        let pattern = self.pattern;
        if self.peek() != Some('{') {
            let from = self.position;
            return match self.take() {
                Some(_) => Ok(&pattern[from..self.position]),
                None => Err(self.error(ErrorKind::UnknownClass, start)),
            };
        }
        let from = self.position + 1;
        let Some(length) = pattern[from..].find('}') else {
            self.position = pattern.len();
            return Err(self.error(ErrorKind::UnknownClass, start));
        };
        self.position = from + length + 1;
        Ok(&pattern[from..from + length])
    }

    /// Reads an escape sequence that stands for one character.
    pub(super) fn character_escape(&mut self) -> Result<Rune, Error> {
        let start = self.position;
        self.position += 1;
        let Some(next) = self.take() else {
            return Err(self.error(ErrorKind::TrailingBackslash, start));
        };
        let rune = match next {
            '0' => self.octal(0),
            '1'..='7' if matches!(self.peek_byte(0), Some(b'0'..=b'7')) => {
                self.octal(u32::from(next) - 0x30)
            }
            '1'..='9' => return Err(self.error(ErrorKind::BackReference, start)),
            'x' => self.hexadecimal().ok_or_else(|| self.error(ErrorKind::InvalidEscape, start))?,
            'a' => 0x07,
            'f' => 0x0C,
            'n' => 0x0A,
            'r' => 0x0D,
            't' => 0x09,
            'v' => 0x0B,
            _ if next.is_ascii() && !next.is_ascii_alphanumeric() => u32::from(next),
            _ => return Err(self.error(ErrorKind::InvalidEscape, start)),
        };
        Ok(rune)
    }

    /// Up to two more octal digits.
    fn octal(&mut self, first: Rune) -> Rune {
        let mut value = first;
        for _ in 0..2 {
            let Some(digit @ b'0'..=b'7') = self.peek_byte(0) else { break };
            value = value * 8 + u32::from(digit - b'0');
            self.position += 1;
        }
        value
    }

    /// The digits of `\x7F` or `\x{10FFFF}`.
    fn hexadecimal(&mut self) -> Option<Rune> {
        if self.peek() != Some('{') {
            let high = self.take()?.to_digit(16)?;
            let low = self.take()?.to_digit(16)?;
            return Some(high * 16 + low);
        }
        self.position += 1;
        let mut value: Option<Rune> = None;
        loop {
            match self.take()? {
                '}' => return value,
                digit => {
                    let next = value.unwrap_or(0) * 16 + digit.to_digit(16)?;
                    value = (next <= MAX_RUNE).then_some(next);
                    value?;
                }
            }
        }
    }
}
