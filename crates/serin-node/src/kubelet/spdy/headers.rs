//! Header blocks: names and values, compressed as one stream for the whole connection, with a dictionary that both sides know.

use std::io;

use flate2::{Decompress, FlushDecompress, Status};

/// The first part of the dictionary of SPDY/3: these words, each after its length.
const WORDS: &str = "options head post put delete trace accept accept-charset accept-encoding accept-language \
accept-ranges age allow authorization cache-control connection content-base content-encoding content-language \
content-length content-location content-md5 content-range content-type date etag expect expires from host if-match \
if-modified-since if-none-match if-range if-unmodified-since last-modified location max-forwards pragma \
proxy-authenticate proxy-authorization range referer retry-after server te trailer transfer-encoding upgrade \
user-agent vary via warning www-authenticate method get status 200_OK version HTTP/1.1 url public set-cookie \
keep-alive origin";
/// Its second part.
const TEXT: &str = "1001012012022052063003023033043053063074024054064074084094104114124134144154164175025045052\
03 Non-Authoritative Information204 No Content301 Moved Permanently400 Bad Request401 Unauthorized403 Forbidden404 \
Not Found500 Internal Server Error501 Not Implemented503 Service UnavailableJan Feb Mar Apr May Jun Jul Aug Sept Oct \
Nov Dec 00:00:00 Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMTchunked,text/html,image/png,image/jpg,image/gif,application/xml,\
application/xhtml+xml,text/plain,text/javascript,publicprivatemax-age=gzip,deflate,sdchcharset=utf-8\
charset=iso-8859-1,utf-,*,enq=0.";
/// The longest block that is taken, without its compression.
const LONGEST: usize = 64 << 10;

fn dictionary() -> Vec<u8> {
    let mut bytes = Vec::new();
    for word in WORDS.split(' ') {
        let word = word.replace('_', " ");
        bytes.extend(u32::try_from(word.len()).unwrap_or(0).to_be_bytes());
        bytes.extend(word.as_bytes());
    }
    bytes.extend(TEXT.as_bytes());
    bytes
}

/// What undoes the client's compression.
pub(super) struct Inflater(Decompress);

impl Inflater {
    pub(super) fn new() -> Self {
        Self(Decompress::new(true))
    }

    /// Reads a block.
    pub(super) fn headers(&mut self, block: &[u8]) -> io::Result<Vec<(String, String)>> {
        let bytes = self.inflate(block)?;
        let mut rest = bytes.as_slice();
        let count = number(&mut rest)?;
        let mut headers = Vec::new();
        for _ in 0..count {
            let name = text(&mut rest)?;
            headers.push((name.to_lowercase(), text(&mut rest)?));
        }
        Ok(headers)
    }

    fn inflate(&mut self, mut block: &[u8]) -> io::Result<Vec<u8>> {
        let mut out = Vec::with_capacity(LONGEST);
        let mut has_dictionary = false;
        loop {
            let before = (self.0.total_in(), out.len());
            let done = self.0.decompress_vec(block, &mut out, FlushDecompress::Sync);
            let used = usize::try_from(self.0.total_in() - before.0).unwrap_or(0);
            block = block.get(used..).unwrap_or_default();
            match done {
                Ok(Status::StreamEnd) => return Ok(out),
                Ok(_) if block.is_empty() || out.len() == before.1 && used == 0 => return Ok(out),
                Ok(_) if out.len() < LONGEST => {}
                Ok(_) => return Err(io::Error::other("headers are too long")),
                Err(error) if error.needs_dictionary().is_some() && !has_dictionary => {
                    has_dictionary = true;
                    self.0.set_dictionary(&dictionary()).map_err(io::Error::other)?;
                }
                Err(error) => return Err(io::Error::other(error)),
            }
        }
    }
}

fn number(rest: &mut &[u8]) -> io::Result<usize> {
    let short = || io::Error::other("headers are cut");
    let (head, tail) = rest.split_first_chunk::<4>().ok_or_else(short)?;
    *rest = tail;
    Ok(u32::from_be_bytes(*head) as usize)
}

fn text(rest: &mut &[u8]) -> io::Result<String> {
    let length = number(rest)?;
    let (text, tail) =
        rest.split_at_checked(length).ok_or_else(|| io::Error::other("headers are cut"))?;
    *rest = tail;
    Ok(String::from_utf8_lossy(text).into_owned())
}

/// A block without headers, stored as it is: what begins a compressed stream, a block of four zero bytes, and an empty one. The last
/// is what a flush looks like: a reader knows by it that there is nothing more to wait for.
pub(super) fn empty_block(first: bool) -> Vec<u8> {
    let mut block = if first { vec![0x78, 0x01] } else { Vec::new() };
    block.extend([0, 4, 0, 0xFB, 0xFF, 0, 0, 0, 0]);
    block.extend([0, 0, 0, 0xFF, 0xFF]);
    block
}

#[cfg(test)]
mod tests {
    use flate2::{Compress, Compression, FlushCompress};

    use super::*;

    #[test]
    fn headers_are_read_with_the_dictionary_block_after_block() {
        assert_eq!(dictionary().len(), 1423);
        let mut compress = Compress::new(Compression::best(), true);
        compress.set_dictionary(&dictionary()).unwrap();
        let mut inflater = Inflater::new();
        for value in ["data", "error"] {
            let mut plain = vec![0, 0, 0, 1, 0, 0, 0, 10];
            plain.extend(b"Streamtype");
            plain.extend(u32::try_from(value.len()).unwrap().to_be_bytes());
            plain.extend(value.as_bytes());
            let mut block = Vec::with_capacity(256);
            compress.compress_vec(&plain, &mut block, FlushCompress::Sync).unwrap();
            let headers = inflater.headers(&block).unwrap();
            assert_eq!(headers, [("streamtype".to_owned(), value.to_owned())]);
        }
        let mut own = Inflater::new();
        assert_eq!(own.headers(&empty_block(true)).unwrap(), []);
        assert_eq!(own.headers(&empty_block(false)).unwrap(), []);
    }
}
