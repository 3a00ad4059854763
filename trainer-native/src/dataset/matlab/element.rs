//! Elements of a file: a type, a length, bytes; packed ones are unpacked.

use anyhow::{Context, Result, bail};
use flate2::read::ZlibDecoder;
use std::borrow::Cow;
use std::io::Read;

/// No annotation of a data set is larger.
const MOST_BYTES: u64 = 1 << 28;

/// `miMATRIX`
pub const MATRIX: u32 = 14;
/// `miCOMPRESSED`
const COMPRESSED: u32 = 15;

/// In which order the bytes of a number lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// The lowest first.
    Little,
    /// The highest first.
    Big,
}

impl Order {
    /// A number of 32 bits.
    pub fn u32(self, bytes: [u8; 4]) -> u32 {
        match self {
            Self::Little => u32::from_le_bytes(bytes),
            Self::Big => u32::from_be_bytes(bytes),
        }
    }
}

/// A type and its bytes.
#[derive(Debug)]
pub struct Element<'file> {
    /// The type's number.
    pub kind: u32,
    /// Its bytes, without padding.
    pub data: Cow<'file, [u8]>,
}

/// One element after the other.
#[derive(Debug)]
pub struct Elements<'file> {
    rest: &'file [u8],
    order: Order,
}

impl<'file> Elements<'file> {
    /// Begins at the first byte.
    pub fn new(bytes: &'file [u8], order: Order) -> Self {
        Self { rest: bytes, order }
    }

    /// The next element; none at the end.
    pub fn next(&mut self) -> Result<Option<Element<'file>>> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let word = self.order.u32(*self.rest.first_chunk().context("it is cut short")?);
        let (kind, small) = (word & 0xffff, word >> 16);
        if small > 0 {
            let data = self.rest.get(4..8).and_then(|data| data.get(..small as usize));
            let data = data.context("it is cut short")?;
            self.rest = &self.rest[8..];
            return Ok(Some(Element { kind, data: Cow::Borrowed(data) }));
        }
        let length = self.rest.get(4..).and_then(<[u8]>::first_chunk).context("it is cut short")?;
        let length = self.order.u32(*length) as usize;
        let after = &self.rest[8..];
        let data = after.get(..length).context("it is cut short")?;
        // All but packed elements end at a multiple of eight bytes.
        let step = if kind == COMPRESSED { length } else { length.next_multiple_of(8) };
        self.rest = after.get(step..).unwrap_or_default();
        if kind == COMPRESSED {
            unpack(data, self.order).map(Some)
        } else {
            Ok(Some(Element { kind, data: Cow::Borrowed(data) }))
        }
    }

    /// The next element, which must be there.
    pub fn expect(&mut self) -> Result<Element<'file>> {
        self.next()?.context("a part of a variable is missing")
    }
}

/// The one element inside a packed one.
fn unpack(data: &[u8], order: Order) -> Result<Element<'static>> {
    let mut bytes = Vec::new();
    ZlibDecoder::new(data)
        .take(MOST_BYTES + 1)
        .read_to_end(&mut bytes)
        .context("a packed variable is damaged")?;
    if bytes.len() as u64 > MOST_BYTES {
        bail!("a variable is larger than {MOST_BYTES} bytes");
    }
    let mut inner = Elements::new(&bytes, order);
    let element = inner.expect()?;
    Ok(Element { kind: element.kind, data: Cow::Owned(element.data.into_owned()) })
}
