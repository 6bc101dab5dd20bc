//! Counting the messages of a gRPC stream as its bytes go by.

/// Where in gRPC's framing a stream of bytes is: one byte of flags and four of length before each message.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct GrpcFrames {
    prefix: [u8; 5],
    have: usize,
    left: u64,
    count: u64,
}

impl GrpcFrames {
    /// Looks at the next bytes.
    pub(crate) fn see(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.left > 0 {
                let here =
                    usize::try_from(self.left).map_or(bytes.len(), |left| left.min(bytes.len()));
                self.left -= here as u64;
                bytes = bytes.get(here..).unwrap_or_default();
                continue;
            }
            if let (Some(place), Some((&byte, rest))) =
                (self.prefix.get_mut(self.have), bytes.split_first())
            {
                *place = byte;
                self.have += 1;
                bytes = rest;
            }
            if self.have == self.prefix.len() {
                let [_, a, b, c, d] = self.prefix;
                self.left = u64::from(u32::from_be_bytes([a, b, c, d]));
                self.have = 0;
                self.count += 1;
            }
        }
    }

    /// How many messages have begun.
    pub(crate) const fn count(&self) -> u64 {
        self.count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_counted_however_their_bytes_are_cut() {
        let wire = [0, 0, 0, 0, 3, 1, 2, 3, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 9];
        for size in 1..=wire.len() {
            let mut frames = GrpcFrames::default();
            wire.chunks(size).for_each(|bytes| frames.see(bytes));
            assert_eq!(frames.count(), 3, "in pieces of {size}");
        }
    }
}
