//! NumPy's legacy random generator, as far as nnU-Net decides with it.
//!
//! Splits and intensity samples of nnU-Net come from `numpy.random.RandomState`: the Mersenne Twister MT19937 seeded
//! by one integer, and bounded integers by masked rejection. Both are frozen in NumPy, so equal seeds give equal
//! splits for ever.

const N: usize = 624;
const M: usize = 397;

/// A generator in the state that `RandomState(seed)` has.
pub struct Mt19937 {
    state: [u32; N],
    next: usize,
}

impl Mt19937 {
    /// Seeds the generator.
    pub fn new(seed: u32) -> Self {
        let mut state = [seed; N];
        let mut previous = seed;
        for (i, word) in (1_u32..).zip(state.iter_mut().skip(1)) {
            previous = 1_812_433_253_u32.wrapping_mul(previous ^ previous >> 30).wrapping_add(i);
            *word = previous;
        }
        Self { state, next: N }
    }

    /// The next 32 random bits.
    pub fn next_u32(&mut self) -> u32 {
        if self.next == N {
            self.twist();
        }
        let mut word = self.state[self.next];
        self.next += 1;
        word ^= word >> 11;
        word ^= word << 7 & 0x9d2c_5680;
        word ^= word << 15 & 0xefc6_0000;
        word ^ word >> 18
    }

    fn twist(&mut self) {
        for i in 0..N {
            let joined = self.state[i] & 0x8000_0000 | self.state[(i + 1) % N] & 0x7fff_ffff;
            let mixed = joined >> 1 ^ if joined & 1 == 1 { 0x9908_b0df } else { 0 };
            self.state[i] = self.state[(i + M) % N] ^ mixed;
        }
        self.next = 0;
    }

    /// An integer from 0 up to and including `largest`; draws nothing if that is 0.
    ///
    /// Bits beyond those of `largest` are masked off, and what is still too large is drawn again.
    pub fn up_to(&mut self, largest: u32) -> u32 {
        if largest == 0 {
            return 0;
        }
        let mask = u32::MAX >> largest.leading_zeros();
        loop {
            let drawn = self.next_u32() & mask;
            if drawn <= largest {
                return drawn;
            }
        }
    }

    /// Shuffles as `RandomState.shuffle` does: from the last element down.
    ///
    /// # Panics
    ///
    /// If there are more than 2³² elements.
    pub fn shuffle<T>(&mut self, elements: &mut [T]) {
        for i in (1..elements.len()).rev() {
            let largest = u32::try_from(i).expect("at most 2^32 elements are shuffled");
            elements.swap(i, self.up_to(largest) as usize);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_those_of_the_published_generator() {
        // The tenth thousandth word of seed 5489 is prescribed by the C++ standard.
        let mut generator = Mt19937::new(5489);
        let word = (0..10_000).map(|_| generator.next_u32()).last();
        assert_eq!(word, Some(4_123_659_995));
    }

    #[test]
    fn shuffling_equals_numpy() {
        // numpy.random.RandomState(12345): shuffle(arange(12)), then randint(0, 1000, 4).
        let mut generator = Mt19937::new(12345);
        let mut elements: Vec<u32> = (0..12).collect();
        generator.shuffle(&mut elements);
        assert_eq!(elements, [8, 0, 3, 7, 11, 10, 6, 9, 4, 1, 5, 2]);
        assert_eq!([(); 4].map(|()| generator.up_to(999)), [369, 315, 654, 105]);
    }
}
