//! A reader that stops after a number of bytes.
//!
//! Whoever parses the directory of a zip file keeps something of every entry, however many there are; what it may read
//! bounds what it can keep.

use std::cell::Cell;
use std::io::{self, Read, Seek, SeekFrom};
use std::rc::Rc;

/// A reader with a budget that its owner may raise.
#[derive(Debug)]
pub(super) struct Metered<R> {
    reader: R,
    budget: Rc<Cell<u64>>,
}

impl<R> Metered<R> {
    /// A reader of at most `budget` bytes.
    pub(super) fn new(reader: R, budget: Rc<Cell<u64>>) -> Self {
        Self { reader, budget }
    }
}

impl<R: Read> Read for Metered<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let budget = self.budget.get();
        if budget == 0 && !buffer.is_empty() {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, "the directory of the file is too large"));
        }
        let n = buffer.len().min(usize::try_from(budget).unwrap_or(usize::MAX));
        let n = self.reader.read(&mut buffer[..n])?;
        self.budget.set(budget.saturating_sub(n as u64));
        Ok(n)
    }
}

impl<R: Seek> Seek for Metered<R> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.reader.seek(to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reading_ends_with_the_budget_and_goes_on_when_it_is_raised() {
        let budget = Rc::new(Cell::new(3));
        let mut reader = Metered::new(&b"abcdef"[..], Rc::clone(&budget));
        let mut buffer = [0; 6];
        assert_eq!(reader.read(&mut buffer).unwrap(), 3);
        assert_eq!(reader.read(&mut buffer).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
        assert_eq!(reader.read(&mut []).unwrap(), 0);
        budget.set(u64::MAX);
        assert_eq!(reader.read(&mut buffer).unwrap(), 3);
        assert_eq!(&buffer[..3], b"def");
    }
}
