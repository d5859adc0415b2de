/// Changes bytes: a fast generator of no quality but its repeatability.
pub struct Mutator {
    state: u64,
}

impl Mutator {
    /// The same changes for the same seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { state: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1 }
    }

    /// A number below this one; 0 for 0.
    pub fn below(&mut self, bound: usize) -> usize {
        // xorshift64*, of which the upper half is the better one.
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        let drawn = usize::try_from(self.state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33).unwrap_or(0);
        drawn.checked_rem(bound).unwrap_or(0)
    }

    /// One of these with one to eight changes: bytes set, dropped, doubled, a word or a piece of another input put in.
    #[must_use]
    pub fn next(&mut self, inputs: &[Vec<u8>], words: &[&str]) -> Vec<u8> {
        let pick = self.below(inputs.len());
        let mut bytes = inputs.get(pick).cloned().unwrap_or_default();
        for _ in 0..=self.below(8) {
            let at = self.below(bytes.len().saturating_add(1)).min(bytes.len());
            match self.below(7) {
                0 => {
                    let bit = 1_u8 << self.below(8);
                    bytes.get_mut(at).into_iter().for_each(|byte| *byte ^= bit);
                }
                1 => {
                    let value = self.byte();
                    bytes.get_mut(at).into_iter().for_each(|byte| *byte = value);
                }
                2 => bytes.insert(at, self.byte()),
                3 => {
                    let end = at.saturating_add(self.below(8)).min(bytes.len());
                    bytes.drain(at..end);
                }
                4 => {
                    let end = at.saturating_add(self.below(16)).min(bytes.len());
                    let twice: Vec<u8> = bytes.get(at..end).unwrap_or_default().to_vec();
                    bytes.splice(at..at, twice);
                }
                5 => {
                    let word = words.get(self.below(words.len())).copied().unwrap_or_default();
                    bytes.splice(at..at, word.bytes());
                }
                _ => {
                    let other = inputs.get(self.below(inputs.len())).map(Vec::as_slice).unwrap_or_default();
                    let from = self.below(other.len());
                    let piece: Vec<u8> = other.iter().skip(from).take(self.below(32)).copied().collect();
                    bytes.splice(at..at, piece);
                }
            }
        }
        bytes
    }

    fn byte(&mut self) -> u8 {
        u8::try_from(self.below(256)).unwrap_or_default()
    }
}
