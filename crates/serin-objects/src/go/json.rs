//! What is wrong with a text that should be JSON, as Go's decoder tells it.

use std::iter;

use super::quote;

/// How deep values may be nested before the reader gives up, as Go's does (far later).
const DEPTH: usize = 256;
const SPACES: [u8; 4] = [b' ', b'\t', b'\r', b'\n'];

/// The first error of a text; none where it is JSON.
pub(crate) fn error(text: &[u8]) -> Option<String> {
    let mut reader = Reader { text, at: 0 };
    let read = reader.value(0).and_then(|()| match reader.token() {
        None => Ok(()),
        Some(_) => Err(reader.wrong("after top-level value")),
    });
    read.err()
}

struct Reader<'t> {
    text: &'t [u8],
    at: usize,
}

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    /// The next byte that is no space, which stays to be read.
    fn token(&mut self) -> Option<u8> {
        while self.peek().is_some_and(|it| SPACES.contains(&it)) {
            self.at += 1;
        }
        self.peek()
    }

    /// The byte here does not belong where it stands.
    fn wrong(&self, context: &str) -> String {
        let Some(byte) = self.peek() else { return "unexpected end of JSON input".to_owned() };
        let shown = match byte {
            b'\'' => "\\'".to_owned(),
            b'"' => "\"".to_owned(),
            other => quote(&char::from(other).to_string()).trim_matches('"').to_owned(),
        };
        format!("invalid character '{shown}' {context}")
    }

    fn value(&mut self, depth: usize) -> Result<(), String> {
        if depth > DEPTH {
            return Err("exceeded max depth".to_owned());
        }
        match self.token() {
            Some(b'{') => self.object(depth),
            Some(b'[') => self.array(depth),
            Some(b'"') => self.string(),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.literal("true"),
            Some(b'f') => self.literal("false"),
            Some(b'n') => self.literal("null"),
            _ => Err(self.wrong("looking for beginning of value")),
        }
    }

    fn object(&mut self, depth: usize) -> Result<(), String> {
        self.at += 1;
        if self.token() == Some(b'}') {
            self.at += 1;
            return Ok(());
        }
        loop {
            if self.token() != Some(b'"') {
                return Err(self.wrong("looking for beginning of object key string"));
            }
            self.string()?;
            if self.token() != Some(b':') {
                return Err(self.wrong("after object key"));
            }
            self.at += 1;
            self.value(depth + 1)?;
            match self.token() {
                Some(b',') => self.at += 1,
                Some(b'}') => break,
                _ => return Err(self.wrong("after object key:value pair")),
            }
        }
        self.at += 1;
        Ok(())
    }

    fn array(&mut self, depth: usize) -> Result<(), String> {
        self.at += 1;
        if self.token() == Some(b']') {
            self.at += 1;
            return Ok(());
        }
        loop {
            self.value(depth + 1)?;
            match self.token() {
                Some(b',') => self.at += 1,
                Some(b']') => break,
                _ => return Err(self.wrong("after array element")),
            }
        }
        self.at += 1;
        Ok(())
    }

    fn string(&mut self) -> Result<(), String> {
        self.at += 1;
        loop {
            match self.peek() {
                Some(b'"') => break,
                Some(b'\\') => self.escape()?,
                Some(0x20..) => {}
                _ => return Err(self.wrong("in string literal")),
            }
            self.at += 1;
        }
        self.at += 1;
        Ok(())
    }

    /// Reads up to the last byte of an escape.
    fn escape(&mut self) -> Result<(), String> {
        self.at += 1;
        match self.peek() {
            Some(b'b' | b'f' | b'n' | b'r' | b't' | b'\\' | b'/' | b'"') => Ok(()),
            Some(b'u') => {
                for _ in 0..4 {
                    self.at += 1;
                    if !self.peek().is_some_and(|it| it.is_ascii_hexdigit()) {
                        return Err(self.wrong("in \\u hexadecimal character escape"));
                    }
                }
                Ok(())
            }
            _ => Err(self.wrong("in string escape code")),
        }
    }

    fn number(&mut self) -> Result<(), String> {
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        if self.peek() == Some(b'0') {
            self.at += 1;
        } else {
            self.digits("in numeric literal")?;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits("after decimal point in numeric literal")?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits("in exponent of numeric literal")?;
        }
        Ok(())
    }

    /// At least one digit.
    fn digits(&mut self, context: &str) -> Result<(), String> {
        let digits = iter::from_fn(|| {
            let is_digit = self.peek().is_some_and(|it| it.is_ascii_digit());
            self.at += usize::from(is_digit);
            is_digit.then_some(())
        });
        if digits.count() == 0 { Err(self.wrong(context)) } else { Ok(()) }
    }

    fn literal(&mut self, word: &str) -> Result<(), String> {
        for (index, wanted) in word.bytes().enumerate() {
            if self.peek() != Some(wanted) {
                debug_assert!(index > 0, "the first letter was seen");
                let wanted = char::from(wanted);
                return Err(self.wrong(&format!("in literal {word} (expecting '{wanted}')")));
            }
            self.at += 1;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_first_wrong_character_is_told_with_its_place() {
        for (text, expect) in [
            ("", "unexpected end of JSON input"),
            ("{", "unexpected end of JSON input"),
            ("xx", "invalid character 'x' looking for beginning of value"),
            ("{a}", "invalid character 'a' looking for beginning of object key string"),
            ("{\"a\" 1}", "invalid character '1' after object key"),
            ("{\"a\":1 \"b\"}", "invalid character '\"' after object key:value pair"),
            ("{\"a\":1,}", "invalid character '}' looking for beginning of object key string"),
            ("[1 2]", "invalid character '2' after array element"),
            ("[1,]", "invalid character ']' looking for beginning of value"),
            ("{} {}", "invalid character '{' after top-level value"),
            ("01", "invalid character '1' after top-level value"),
            ("-a", "invalid character 'a' in numeric literal"),
            ("1.a", "invalid character 'a' after decimal point in numeric literal"),
            ("1e+", "unexpected end of JSON input"),
            ("1ex", "invalid character 'x' in exponent of numeric literal"),
            ("tru'", "invalid character '\\'' in literal true (expecting 'e')"),
            ("\"a\nb\"", "invalid character '\\n' in string literal"),
            ("\"\\x\"", "invalid character 'x' in string escape code"),
            ("\"\\u12g\"", "invalid character 'g' in \\u hexadecimal character escape"),
        ] {
            assert_eq!(error(text.as_bytes()).as_deref(), Some(expect), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_json_has_no_error_and_what_is_not_has_one(
            text in prop_oneof!["[\\[\\]{},:\"\\\\ 0-9a-fntrulse.+-]{0,12}", "\\PC{0,8}"]
        ) {
            let read: Result<serde::de::IgnoredAny, _> = serde_json::from_str(&text);
            prop_assert_eq!(error(text.as_bytes()).is_some(), read.is_err(), "{}", text);
        }
    }
}
