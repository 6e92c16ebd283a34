//! The machine itself: a stack, marks and a memory of references.

use std::collections::BTreeMap;

use super::error::PickleError;
use super::global::Global;
use super::tree::{Ref, Storage, TensorView, Tree, Value};

/// Most marks that are open at a time; a checkpoint nests a dozen.
const MAX_MARKS: usize = 256;
/// Most references on the stack and values in all; a pickle of 16 MiB has fewer unless it was made to be large.
const MAX_VALUES: usize = 4 << 20;

type Result<T> = std::result::Result<T, PickleError>;

/// A pickle that is being run.
pub(super) struct Machine<'a> {
    bytes: &'a [u8],
    /// Next byte.
    at: usize,
    /// Where the current opcode lies.
    offset: usize,
    values: Vec<Value>,
    stack: Vec<Ref>,
    /// Heights of the stack.
    marks: Vec<usize>,
    memory: BTreeMap<u32, Ref>,
}

impl<'a> Machine<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        let (values, stack, marks) = (Vec::new(), Vec::new(), Vec::new());
        Self { bytes, at: 0, offset: 0, values, stack, marks, memory: BTreeMap::new() }
    }

    pub(super) fn run(mut self) -> Result<Tree> {
        loop {
            self.offset = self.at;
            let [opcode] = self.array()?;
            if opcode == b'.' {
                break;
            }
            self.step(opcode)?;
            if self.stack.len() > MAX_VALUES || self.values.len() > MAX_VALUES {
                return Err(PickleError::Limit { offset: self.offset, what: "values", limit: MAX_VALUES });
            }
        }
        let root = self.pop()?;
        if !self.stack.is_empty() || !self.marks.is_empty() {
            return Err(self.operand("one value at the end"));
        }
        match self.bytes.len() - self.at {
            0 => Ok(Tree { values: self.values, root }),
            n_bytes => Err(PickleError::Trailing { n_bytes }),
        }
    }

    fn step(&mut self, opcode: u8) -> Result<()> {
        match opcode {
            0x80 => self.protocol(),
            // A frame says how much to read ahead, which is all here.
            0x95 => self.array::<8>().map(|_| ()),
            b'N' => self.push(Value::None),
            0x88 | 0x89 => self.push(Value::Bool(opcode == 0x88)),
            b'K' | b'M' | b'J' | 0x8a => self.integer(opcode),
            b'G' => {
                let bits = self.array()?;
                self.push(Value::Float(f64::from_be_bytes(bits)))
            }
            b'X' | 0x8c | 0x8d | b'B' | b'C' | 0x8e => self.string(opcode),
            b']' | b')' | b'}' | 0x8f => self.empty(opcode),
            b'(' | b'0' | b'1' | b'2' => self.shift(opcode),
            b'l' | b't' | b'd' | 0x85..=0x87 | 0x91 => self.collect(opcode),
            b'a' | b'e' | 0x90 => self.append(opcode),
            b's' | b'u' => self.insert(opcode),
            b'q' | b'r' | 0x94 | b'h' | b'j' => self.remember(opcode),
            b'c' | 0x93 => self.global(opcode),
            b'R' => self.reduce(),
            b'b' => self.build(),
            b'Q' => self.persistent(),
            _ => Err(PickleError::Opcode { offset: self.offset, opcode }),
        }
    }

    fn protocol(&mut self) -> Result<()> {
        let [found] = self.array()?;
        if (2..=5).contains(&found) { Ok(()) } else { Err(PickleError::Protocol { found }) }
    }

    fn integer(&mut self, opcode: u8) -> Result<()> {
        let value = match opcode {
            b'K' => i64::from(u8::from_le_bytes(self.array()?)),
            b'M' => i64::from(u16::from_le_bytes(self.array()?)),
            b'J' => i64::from(i32::from_le_bytes(self.array()?)),
            _ => {
                let [n_bytes] = self.array()?;
                let digits = self.take(n_bytes.into())?;
                let fill = if digits.last().is_some_and(|high| high & 0x80 != 0) { 0xff } else { 0 };
                let mut number = [fill; 8];
                let low = number.get_mut(..digits.len());
                low.ok_or_else(|| self.operand("a number of at most 64 bits"))?.copy_from_slice(digits);
                i64::from_le_bytes(number)
            }
        };
        self.push(Value::Int(value))
    }

    fn string(&mut self, opcode: u8) -> Result<()> {
        let n_bytes = match opcode {
            0x8c | b'C' => u64::from(u8::from_le_bytes(self.array()?)),
            b'X' | b'B' => u64::from(u32::from_le_bytes(self.array()?)),
            _ => u64::from_le_bytes(self.array()?),
        };
        let end = PickleError::End { offset: self.offset };
        let content = self.take(usize::try_from(n_bytes).map_err(|_| end)?)?;
        if matches!(opcode, b'B' | b'C' | 0x8e) {
            return self.push(Value::Bytes(content.to_vec()));
        }
        let text = std::str::from_utf8(content).map_err(|_| self.operand("a text in UTF-8"))?;
        self.push(Value::Text(text.to_owned()))
    }

    fn empty(&mut self, opcode: u8) -> Result<()> {
        self.push(match opcode {
            b')' => Value::Tuple(Vec::new()),
            b'}' => Value::Dict(Vec::new()),
            _ => Value::List(Vec::new()),
        })
    }

    /// Mark, pop, pop to the mark, duplicate.
    fn shift(&mut self, opcode: u8) -> Result<()> {
        match opcode {
            b'(' if self.marks.len() == MAX_MARKS => {
                Err(PickleError::Limit { offset: self.offset, what: "marks", limit: MAX_MARKS })
            }
            b'(' => {
                self.marks.push(self.stack.len());
                Ok(())
            }
            b'0' => self.pop().map(|_| ()),
            b'1' => self.pop_mark().map(|_| ()),
            _ => {
                let top = self.pop()?;
                self.stack.extend([top, top]);
                Ok(())
            }
        }
    }

    fn collect(&mut self, opcode: u8) -> Result<()> {
        let items = match opcode {
            0x85..=0x87 => {
                let n = usize::from(opcode - 0x84);
                let floor = self.floor();
                let start = self.stack.len().checked_sub(n).filter(|&start| start >= floor);
                self.stack.split_off(start.ok_or_else(|| self.operand("enough values for a tuple"))?)
            }
            _ => self.pop_mark()?,
        };
        let value = match opcode {
            b'l' | 0x91 => Value::List(items),
            b'd' => Value::Dict(self.pairs(&items)?),
            _ => Value::Tuple(items),
        };
        self.push(value)
    }

    fn append(&mut self, opcode: u8) -> Result<()> {
        let items = if opcode == b'a' { vec![self.pop()?] } else { self.pop_mark()? };
        let list = self.top()?;
        match self.value_mut(list) {
            Some(Value::List(values)) => values.extend(items),
            // A numpy array is left to whoever needs it.
            _ => return Err(self.operand("a list")),
        }
        Ok(())
    }

    fn insert(&mut self, opcode: u8) -> Result<()> {
        let items = if opcode == b's' {
            let value = self.pop()?;
            vec![self.pop()?, value]
        } else {
            self.pop_mark()?
        };
        let pairs = self.pairs(&items)?;
        let dict = self.top()?;
        match self.value_mut(dict) {
            Some(Value::Dict(entries)) => entries.extend(pairs),
            _ => return Err(self.operand("a dictionary")),
        }
        Ok(())
    }

    fn pairs(&self, items: &[Ref]) -> Result<Vec<(Ref, Ref)>> {
        let (pairs, rest) = items.as_chunks::<2>();
        if rest.is_empty() {
            Ok(pairs.iter().map(|&[key, value]| (key, value)).collect())
        } else {
            Err(self.operand("a value for every key"))
        }
    }

    fn remember(&mut self, opcode: u8) -> Result<()> {
        let place = match opcode {
            b'q' | b'h' => u32::from(u8::from_le_bytes(self.array()?)),
            b'r' | b'j' => u32::from_le_bytes(self.array()?),
            // There are fewer places than values, of which there are at most 2^22.
            _ => u32::try_from(self.memory.len()).unwrap_or(u32::MAX),
        };
        if matches!(opcode, b'h' | b'j') {
            let value = self.memory.get(&place).copied();
            self.stack.push(value.ok_or_else(|| self.operand("a value that was remembered before"))?);
        } else {
            let top = self.top()?;
            self.memory.insert(place, top);
            if self.memory.len() > MAX_VALUES {
                return Err(PickleError::Limit { offset: self.offset, what: "memory places", limit: MAX_VALUES });
            }
        }
        Ok(())
    }

    fn global(&mut self, opcode: u8) -> Result<()> {
        let (module, name) = if opcode == b'c' {
            (self.line()?, self.line()?)
        } else {
            let (name, module) = (self.pop()?, self.pop()?);
            let text = |value| match self.value(value) {
                Value::Text(text) => Ok(text.clone()),
                _ => Err(self.operand("two texts for a name")),
            };
            (text(module)?, text(name)?)
        };
        match Global::find(&module, &name) {
            Some(global) => self.push(Value::Global(global)),
            None => Err(PickleError::Global { offset: self.offset, module, name }),
        }
    }

    /// What a call would make, as plain data.
    fn reduce(&mut self) -> Result<()> {
        let (arguments, callee) = (self.pop()?, self.pop()?);
        let Value::Global(global) = *self.value(callee) else { return Err(self.operand("an allowed name to reduce")) };
        let Value::Tuple(arguments) = self.value(arguments) else { return Err(self.operand("a tuple of arguments")) };
        let value = match (global, &arguments[..]) {
            (Global::OrderedDict, []) => Value::Dict(Vec::new()),
            (Global::OrderedDict, _) => return Err(self.operand("an ordered dictionary without arguments")),
            (Global::RebuildTensor, [storage, offset, shape, strides, ..]) => {
                Value::Tensor(Box::new(self.tensor(*storage, *offset, *shape, *strides)?))
            }
            (Global::RebuildParameter, [tensor, ..]) => match self.value(*tensor) {
                Value::Tensor(view) => Value::Tensor(view.clone()),
                _ => return Err(self.operand("a tensor for a parameter")),
            },
            (Global::RebuildTensor | Global::RebuildParameter | Global::Storage(_), _) => {
                return Err(self.operand("the arguments of a tensor"));
            }
            (Global::Size, [items]) => match self.value(*items) {
                Value::Tuple(items) | Value::List(items) => Value::Tuple(items.clone()),
                _ => return Err(self.operand("the extents of a size")),
            },
            (Global::Size, _) => return Err(self.operand("the extents of a size")),
            (opaque, _) => Value::Opaque(opaque),
        };
        self.push(value)
    }

    fn tensor(&self, storage: Ref, offset: Ref, shape: Ref, strides: Ref) -> Result<TensorView> {
        let Value::Storage(storage) = self.value(storage) else { return Err(self.operand("a storage")) };
        let extents = |items: Ref| match self.value(items) {
            Value::Tuple(items) if items.len() <= 8 => items.iter().map(|&item| self.count(item)).collect(),
            _ => Err(self.operand("at most 8 extents")),
        };
        let (offset, shape, strides) = (self.count(offset)?, extents(shape)?, extents(strides)?);
        Ok(TensorView { storage: Storage::clone(storage), offset, shape, strides })
    }

    /// State of an object; none of those that are known needs any.
    fn build(&mut self) -> Result<()> {
        self.pop()?;
        match self.value(self.top()?) {
            Value::Dict(_) | Value::Opaque(_) => Ok(()),
            _ => Err(self.operand("an object that may have a state")),
        }
    }

    /// PyTorch's name of a storage: `("storage", class, key, device, number of values)`.
    fn persistent(&mut self) -> Result<()> {
        let id = self.pop()?;
        let Value::Tuple(items) = self.value(id) else { return Err(self.operand("the name of a storage")) };
        let &[tag, class, key, _device, n_values] = &items[..] else {
            return Err(self.operand("five parts of a storage's name"));
        };
        let (Value::Text(tag), &Value::Global(Global::Storage(kind)), Value::Text(key)) =
            (self.value(tag), self.value(class), self.value(key))
        else {
            return Err(self.operand("a storage's class and key"));
        };
        if tag != "storage" || key.is_empty() || key.len() > 20 || !key.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(self.operand("a storage whose key is a number"));
        }
        let storage = Storage { kind, key: key.clone(), n_values: self.count(n_values)? };
        self.push(Value::Storage(Box::new(storage)))
    }

    fn count(&self, value: Ref) -> Result<usize> {
        match self.value(value) {
            Value::Int(count) => usize::try_from(*count).map_err(|_| self.operand("a number that is not negative")),
            _ => Err(self.operand("a number")),
        }
    }

    fn operand(&self, expected: &'static str) -> PickleError {
        PickleError::Operand { offset: self.offset, expected }
    }

    fn value(&self, value: Ref) -> &Value {
        &self.values[value.0 as usize]
    }

    fn value_mut(&mut self, value: Ref) -> Option<&mut Value> {
        self.values.get_mut(value.0 as usize)
    }

    fn push(&mut self, value: Value) -> Result<()> {
        let limit = PickleError::Limit { offset: self.offset, what: "values", limit: MAX_VALUES };
        self.stack.push(Ref(u32::try_from(self.values.len()).map_err(|_| limit)?));
        self.values.push(value);
        Ok(())
    }

    /// Height below which the values belong to an outer container.
    fn floor(&self) -> usize {
        self.marks.last().copied().unwrap_or_default()
    }

    fn top(&self) -> Result<Ref> {
        let own = self.stack.get(self.floor()..).unwrap_or_default();
        own.last().copied().ok_or_else(|| self.operand("a value on the stack"))
    }

    fn pop(&mut self) -> Result<Ref> {
        let top = self.top()?;
        self.stack.pop();
        Ok(top)
    }

    fn pop_mark(&mut self) -> Result<Vec<Ref>> {
        let mark = self.marks.pop().ok_or_else(|| self.operand("a mark"))?;
        Ok(self.stack.split_off(mark.min(self.stack.len())))
    }

    fn take(&mut self, n: usize) -> Result<&'a [u8]> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let taken = rest.get(..n).ok_or(PickleError::End { offset: self.offset })?;
        self.at += n;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let taken = self.take(N)?;
        taken.try_into().map_err(|_| PickleError::End { offset: self.offset })
    }

    fn line(&mut self) -> Result<String> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let end = rest.iter().position(|&byte| byte == b'\n').ok_or(PickleError::End { offset: self.offset })?;
        let line = self.take(end)?;
        self.at += 1;
        Ok(String::from_utf8_lossy(line).into_owned())
    }
}
