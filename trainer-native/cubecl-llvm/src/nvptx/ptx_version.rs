//! The version of PTX that LLVM would emit.

use std::fmt::{Display, Formatter, Result};

/// A version of PTX; there is none without LLVM.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PtxVersion {}

impl PtxVersion {
    /// The newest version that a driver loads: `None`, as nothing here emits any.
    #[must_use]
    pub fn for_driver(_driver: i32) -> Option<Self> {
        None
    }
}

impl Display for PtxVersion {
    fn fmt(&self, _formatter: &mut Formatter<'_>) -> Result {
        match *self {}
    }
}
