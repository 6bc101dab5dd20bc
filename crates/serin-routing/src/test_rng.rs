//! Random number generators of tests: one that gives what it is told, and one that is seeded.

use std::convert::Infallible;

use rand_core::TryRng;

/// Gives the same draws over and over.
pub(crate) struct Draws {
    draws: Vec<u64>,
    next: usize,
}

impl Draws {
    pub(crate) fn of(draws: impl Into<Vec<u64>>) -> Self {
        Self { draws: draws.into(), next: 0 }
    }
}

/// SplitMix64.
pub(crate) struct Seeded(pub(crate) u64);

fn fill(bytes: &mut [u8], mut draw: impl FnMut() -> u64) {
    for chunk in bytes.chunks_mut(8) {
        let draw = draw().to_le_bytes();
        chunk.copy_from_slice(&draw[..chunk.len()]);
    }
}

impl TryRng for Draws {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        self.try_next_u64().map(|draw| draw as u32)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let draw = self.draws[self.next % self.draws.len()];
        self.next += 1;
        Ok(draw)
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        fill(bytes, || self.try_next_u64().unwrap_or_default());
        Ok(())
    }
}

impl TryRng for Seeded {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        self.try_next_u64().map(|draw| (draw >> 32) as u32)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        Ok(mixed ^ mixed >> 31)
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        fill(bytes, || self.try_next_u64().unwrap_or_default());
        Ok(())
    }
}
