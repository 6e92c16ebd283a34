//! NumPy's legacy random generator, as far as nnU-Net decides with it.
//!
//! Splits and intensity samples of nnU-Net come from `numpy.random.RandomState`: the Mersenne Twister MT19937 seeded
//! by one integer, and bounded integers by masked rejection. Both are frozen in NumPy, so equal seeds give equal
//! splits for ever.
//!
//! A fingerprint takes 10⁸ draws. Therefore words are made 624 at a time in loops without a branch or a remainder,
//! and [`Mt19937::draw`] sorts out a whole block before it hands on what is left.

const N: usize = 624;
const M: usize = 397;

/// A generator in the state that `RandomState(seed)` has.
pub struct Mt19937 {
    state: [u32; N],
    /// What the state gives, in order.
    words: [u32; N],
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
        Self { state, words: [0; N], next: N }
    }

    /// The next 32 random bits.
    pub fn next_u32(&mut self) -> u32 {
        if self.next == N {
            self.refill();
        }
        let word = self.words[self.next];
        self.next += 1;
        word
    }

    /// An integer from 0 up to and including `largest`; draws nothing if that is 0.
    ///
    /// Bits beyond those of `largest` are masked off, and what is still too large is drawn again. Above 32 bits a draw
    /// takes two words, the high one first.
    pub fn up_to(&mut self, largest: u64) -> u64 {
        if largest == 0 {
            return 0;
        }
        let mask = u64::MAX >> largest.leading_zeros();
        let is_wide = largest > u64::from(u32::MAX);
        loop {
            let high = if is_wide { u64::from(self.next_u32()) << 32 } else { 0 };
            let drawn = (high | u64::from(self.next_u32())) & mask;
            if drawn <= largest {
                return drawn;
            }
        }
    }

    /// Draws `n` integers from 0 up to and including `largest`, as [`Mt19937::up_to`] would, and hands each to `each`.
    pub fn draw(&mut self, largest: u32, mut n: usize, mut each: impl FnMut(u32)) {
        if largest == 0 {
            return (0..n).for_each(|_| each(0));
        }
        let mask = u32::MAX >> largest.leading_zeros();
        let mut accepted = [0; N];
        while n >= N {
            if self.next == N {
                self.refill();
            }
            let mut n_accepted = 0;
            // Half of the words may be refused, at random: a branch would be guessed wrong as often.
            for word in &self.words[self.next..] {
                accepted[n_accepted] = word & mask;
                n_accepted += usize::from(word & mask <= largest);
            }
            self.next = N;
            n -= n_accepted;
            accepted[..n_accepted].iter().for_each(|&drawn| each(drawn));
        }
        while n > 0 {
            let drawn = self.next_u32() & mask;
            if drawn <= largest {
                each(drawn);
                n -= 1;
            }
        }
    }

    /// Shuffles as `RandomState.shuffle` does: from the last element down.
    pub fn shuffle<T>(&mut self, elements: &mut [T]) {
        for i in (1..elements.len()).rev() {
            elements.swap(i, self.index_up_to(i));
        }
    }

    /// An index from 0 up to and including `last`.
    pub(crate) fn index_up_to(&mut self, last: usize) -> usize {
        usize::try_from(self.up_to(last as u64)).expect("at most `last`, which is an index")
    }

    /// Moves the state on by as many words as it has, and tempers them.
    fn refill(&mut self) {
        let state = &mut self.state;
        for i in 0..N - M {
            state[i] = state[i + M] ^ twist(state[i], state[i + 1]);
        }
        for i in N - M..N - 1 {
            state[i] = state[i + M - N] ^ twist(state[i], state[i + 1]);
        }
        state[N - 1] = state[M - 1] ^ twist(state[N - 1], state[0]);
        for (word, &state) in self.words.iter_mut().zip(state.iter()) {
            *word = temper(state);
        }
        self.next = 0;
    }
}

/// The recurrence's matrix, applied to the first bit of one word and the others of the next.
fn twist(word: u32, following: u32) -> u32 {
    let joined = word & 0x8000_0000 | following & 0x7fff_ffff;
    joined >> 1 ^ (joined & 1).wrapping_neg() & 0x9908_b0df
}

fn temper(mut word: u32) -> u32 {
    word ^= word >> 11;
    word ^= word << 7 & 0x9d2c_5680;
    word ^= word << 15 & 0xefc6_0000;
    word ^ word >> 18
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

    fn check(largest: u32, n: usize) {
        let (mut one_by_one, mut together) = (Mt19937::new(7), Mt19937::new(7));
        // Neither starts with a fresh block.
        assert_eq!(one_by_one.next_u32(), together.next_u32());
        let mut drawn = Vec::new();
        together.draw(largest, n, |value| drawn.push(u64::from(value)));
        let expected: Vec<u64> = (0..n).map(|_| one_by_one.up_to(u64::from(largest))).collect();
        assert_eq!(drawn, expected, "up to {largest}");
        assert_eq!(one_by_one.next_u32(), together.next_u32(), "up to {largest}");
    }

    #[test]
    fn many_draws_are_the_same_as_one_after_the_other() {
        for n in [0, 1, 623, 624, 625, 5000] {
            for largest in [0, 1, 2, 255, 256, 65_535, 65_536, u32::MAX - 1, u32::MAX] {
                check(largest, n);
            }
        }
    }
}
