//! Walking a body: which bytes are content, and where it ends (RFC 9112 §6–§7).

use memchr::memchr;

use crate::head::is_token;
use crate::{Error, FieldName, Framing};

/// Digits of a chunk size: 16 hexadecimal digits hold 64 bits.
const SIZE_DIGITS: u32 = 15;
/// Bytes of a chunk's size line with its extensions, and of the trailer section. Extensions are read over.
const LINE_BYTES: usize = 4096;
const TRAILER_BYTES: usize = 60 * 1024;

/// Where in a body the reader is. Feed it what arrives, in order.
#[derive(Clone, Debug)]
pub struct Decoder {
    state: State,
    trailer_bytes: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// So many bytes of content are left, of the body or of this chunk.
    Content {
        left: u64,
        chunked: bool,
    },
    /// All is content.
    UntilClose,
    /// A chunk's size line comes next.
    Size,
    /// The CR LF after a chunk's content comes next.
    AfterChunk,
    /// Trailer fields come next.
    Trailers,
    Done,
}

/// What the next bytes of a body are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// So many bytes at the start of the input are content.
    Content(usize),
    /// So many bytes at the start of the input are framing: skip them.
    Skip(usize),
    /// So many bytes at the start of the input are one trailer field with its line end.
    Trailer(usize),
    /// More input is needed.
    More,
    /// The body is over; the input is not touched.
    End,
}

impl Decoder {
    /// A reader at the start of a body.
    pub const fn new(framing: Framing) -> Self {
        let state = match framing {
            Framing::None | Framing::Length(0) => State::Done,
            Framing::Length(left) => State::Content { left, chunked: false },
            Framing::Chunked => State::Size,
            Framing::UntilClose => State::UntilClose,
        };
        Self { state, trailer_bytes: 0 }
    }

    /// Whether the body is over.
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Whether the end of the connection is the end of the body rather than an interruption.
    pub fn ends_with_connection(&self) -> bool {
        matches!(self.state, State::UntilClose | State::Done)
    }

    /// Bytes of content that are known to come before the next piece of framing; `None` if that is not known.
    pub const fn expected(&self) -> Option<u64> {
        match self.state {
            State::Content { left, .. } => Some(left),
            _ => None,
        }
    }

    /// What the start of `input` is. The caller removes as many bytes as the answer says and calls again.
    ///
    /// # Errors
    /// A chunk or trailer is malformed or too long.
    pub fn step(&mut self, input: &[u8]) -> Result<Step, Error> {
        match self.state {
            State::Done => Ok(Step::End),
            _ if input.is_empty() => Ok(Step::More),
            State::UntilClose => Ok(Step::Content(input.len())),
            State::Content { left, chunked } => Ok(self.content(input, left, chunked)),
            State::Size => self.size(input),
            State::AfterChunk => self.after_chunk(input),
            State::Trailers => self.trailer(input),
        }
    }

    fn content(&mut self, input: &[u8], left: u64, chunked: bool) -> Step {
        let here = usize::try_from(left).map_or(input.len(), |left| left.min(input.len()));
        let left = left - here as u64;
        self.state = match (left, chunked) {
            (0, true) => State::AfterChunk,
            (0, false) => State::Done,
            _ => State::Content { left, chunked },
        };
        Step::Content(here)
    }

    /// `1*HEXDIG [ chunk-ext ] CR LF`.
    fn size(&mut self, input: &[u8]) -> Result<Step, Error> {
        let Some(line) = whole_line(input, LINE_BYTES, Error::Chunk)? else {
            return Ok(Step::More);
        };
        let mut size: u64 = 0;
        let mut digits = 0;
        for byte in line {
            let Some(digit) = char::from(*byte).to_digit(16) else { break };
            digits += 1;
            size = size << 4 | u64::from(digit);
            if digits > SIZE_DIGITS {
                return Err(Error::Chunk);
            }
        }
        // After the size: nothing, or an extension. Anything else (a space, a sign, `0x`) is read differently by others.
        let rest = line.get(digits as usize..).unwrap_or_default();
        let is_extension = matches!(rest, [] | [b';', ..])
            && rest.iter().all(|&byte| byte >= b' ' || byte == b'\t');
        if digits == 0 || !is_extension {
            return Err(Error::Chunk);
        }
        self.state =
            if size == 0 { State::Trailers } else { State::Content { left: size, chunked: true } };
        Ok(Step::Skip(line.len() + 2))
    }

    fn after_chunk(&mut self, input: &[u8]) -> Result<Step, Error> {
        match input {
            [b'\r', b'\n', ..] => {
                self.state = State::Size;
                Ok(Step::Skip(2))
            }
            [b'\r'] => Ok(Step::More),
            _ => Err(Error::Chunk),
        }
    }

    fn trailer(&mut self, input: &[u8]) -> Result<Step, Error> {
        let left = TRAILER_BYTES.saturating_sub(self.trailer_bytes);
        let Some(line) = whole_line(input, left, Error::Trailer)? else { return Ok(Step::More) };
        let length = line.len() + 2;
        self.trailer_bytes += length;
        if line.is_empty() {
            self.state = State::Done;
            return Ok(Step::Skip(2));
        }
        let colon = memchr(b':', line).ok_or(Error::Trailer)?;
        let (name, value) = line.split_at(colon);
        let is_field = !name.is_empty()
            && name.iter().all(|&byte| is_token(byte))
            && value.iter().all(|&byte| (byte >= b' ' && byte != 0x7f) || byte == b'\t');
        if !is_field || !may_trail(&name.to_ascii_lowercase()) {
            return Err(Error::Trailer);
        }
        Ok(Step::Trailer(length))
    }
}

/// Whether a field, whose name is in lower case, may stand among trailers: those that decide framing, routing or authentication have no
/// business there (RFC 9110 §6.5.1).
pub fn may_trail(name: &[u8]) -> bool {
    let known = FieldName::of(name);
    let decides = matches!(
        known,
        FieldName::ContentLength
            | FieldName::Host
            | FieldName::Trailer
            | FieldName::Cookie
            | FieldName::Expect
    );
    !known.is_hop_by_hop() && !decides && name != b"authorization"
}

/// The first line of `input` without its CR LF; `None` if its end has not arrived.
fn whole_line(input: &[u8], limit: usize, error: Error) -> Result<Option<&[u8]>, Error> {
    let within = input.get(..limit).unwrap_or(input);
    match memchr(b'\n', within) {
        None if input.len() >= limit => Err(error),
        None => Ok(None),
        Some(feed) => match within.get(..feed).and_then(<[u8]>::split_last) {
            Some((b'\r', line)) => Ok(Some(line)),
            _ => Err(error),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The content, the trailers, and what is left over.
    fn walk(
        framing: Framing,
        mut input: &[u8],
        at_a_time: usize,
    ) -> Result<(Vec<u8>, Vec<u8>, usize), Error> {
        let mut decoder = Decoder::new(framing);
        let (mut content, mut trailers, mut seen) =
            (Vec::new(), Vec::new(), at_a_time.min(input.len()));
        loop {
            match decoder.step(&input[..seen])? {
                Step::End => return Ok((content, trailers, input.len())),
                Step::More if seen == input.len() => return Ok((content, trailers, usize::MAX)),
                Step::More => seen = (seen + at_a_time).min(input.len()),
                Step::Content(n) => {
                    content.extend_from_slice(&input[..n]);
                    (input, seen) = (&input[n..], seen - n);
                }
                Step::Skip(n) => (input, seen) = (&input[n..], seen - n),
                Step::Trailer(n) => {
                    trailers.extend_from_slice(&input[..n]);
                    (input, seen) = (&input[n..], seen - n);
                }
            }
        }
    }

    #[test]
    fn chunks_are_joined_and_trailers_kept_however_they_arrive() {
        let input = b"5;ext=\"1\"\r\nhello\r\n01\r\n!\r\n0\r\nX-Sum: 1\r\n\r\nGET";
        for at_a_time in 1..input.len() {
            let (content, trailers, rest) = walk(Framing::Chunked, input, at_a_time).unwrap();
            assert_eq!(content, b"hello!");
            assert_eq!(trailers, b"X-Sum: 1\r\n");
            assert_eq!(rest, 3);
        }
    }

    #[test]
    fn a_length_ends_the_body_exactly() {
        assert_eq!(
            walk(Framing::Length(3), b"abcdef", 2).unwrap(),
            (b"abc".to_vec(), Vec::new(), 3)
        );
        assert_eq!(walk(Framing::None, b"abc", 2).unwrap(), (Vec::new(), Vec::new(), 3));
    }

    #[test]
    fn malformed_chunks_are_refused() {
        for input in [
            "x\r\n",
            " 5\r\nhello\r\n",
            "5 \r\nhello\r\n",
            "+5\r\nhello\r\n",
            "0x5\r\nhello\r\n",
            "5\nhello\r\n",
            "5\r\nhelloo\r\n",
            "\r\n",
            "ffffffffffffffff\r\n",
            "-1\r\n",
            "5\r\nhello\n0\r\n\r\n",
            "0\r\nHost: a\r\n\r\n",
            "0\r\nno colon\r\n\r\n",
            "0\r\ncontent-length: 1\r\n\r\n",
            "0\r\n\n",
        ] {
            assert!(walk(Framing::Chunked, input.as_bytes(), 64).is_err(), "{input:?}");
        }
        let long = format!("5;{}", "a".repeat(LINE_BYTES));
        assert_eq!(walk(Framing::Chunked, long.as_bytes(), 8192), Err(Error::Chunk));
    }

    proptest::proptest! {
        #[test]
        fn content_written_in_chunks_is_read_back(
            pieces in proptest::collection::vec(proptest::collection::vec(proptest::prelude::any::<u8>(), 1..50), 0..8),
            at_a_time in 1usize..40,
        ) {
            let mut wire = Vec::new();
            for piece in &pieces {
                crate::chunk_head(&mut wire, piece.len());
                wire.extend_from_slice(piece);
                wire.extend_from_slice(b"\r\n");
            }
            crate::last_chunk(&mut wire, b"");
            let (content, _, rest) = walk(Framing::Chunked, &wire, at_a_time).unwrap();
            assert_eq!(content, pieces.concat());
            assert_eq!(rest, 0);
        }

        #[test]
        fn any_bytes_are_walked_without_panic(input in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200)) {
            let _ = walk(Framing::Chunked, &input, 7);
        }
    }
}
