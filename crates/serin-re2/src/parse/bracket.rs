//! Character classes in brackets. There are no set operations: `&&`, `--` and an inner `[` are plain characters.

use super::Parser;
use crate::ast::Rune;
use crate::class::{self, RuneSet};
use crate::error::{Error, ErrorKind};

impl Parser<'_> {
    pub(super) fn bracket(&mut self) -> Result<RuneSet, Error> {
        let start = self.position;
        self.position += 1;
        let negated = self.peek() == Some('^');
        self.position += usize::from(negated);
        let mut set = RuneSet::default();
        let mut first = true;
        loop {
            match self.peek() {
                None => return Err(self.error(ErrorKind::MissingBracket, start)),
                // Right behind the opening, a closing bracket stands for itself.
                Some(']') if !first => break,
                Some(_) => {}
            }
            first = false;
            if !self.posix_class(&mut set)? && !self.class_escape(&mut set)? {
                self.range(start, &mut set)?;
            }
        }
        self.position += 1;
        if negated {
            set.negate();
        }
        Ok(set)
    }

    /// Reads `[:name:]`; false if the text is something else.
    fn posix_class(&mut self, set: &mut RuneSet) -> Result<bool, Error> {
        let start = self.position;
        let Some(rest) = self.rest().strip_prefix("[:") else { return Ok(false) };
        let Some((name, _)) = rest.split_once(":]") else { return Ok(false) };
        self.position += name.len() + 4;
        let (ranges, negated) =
            class::posix(name).ok_or_else(|| self.error(ErrorKind::UnknownClass, start))?;
        set.extend(ranges, negated, self.flags.fold_case);
        Ok(true)
    }

    /// Reads one character, or a range of them.
    fn range(&mut self, bracket: usize, set: &mut RuneSet) -> Result<(), Error> {
        let start = self.position;
        let low = self.class_character(bracket)?;
        let mut high = low;
        if self.peek_byte(0) == Some(b'-') && self.peek_byte(1).is_some_and(|next| next != b']') {
            self.position += 1;
            high = self.class_character(bracket)?;
            if high < low {
                return Err(self.error(ErrorKind::InvalidRange, start));
            }
        }
        set.push_folded(low, high, self.flags.fold_case);
        Ok(())
    }

    fn class_character(&mut self, bracket: usize) -> Result<Rune, Error> {
        match self.peek() {
            Some('\\') => self.character_escape(),
            Some(_) => Ok(self.take().map_or(0, u32::from)),
            None => Err(self.error(ErrorKind::MissingBracket, bracket)),
        }
    }
}
