//! The laws of the house, held against the source files: who may name what, and where.

mod dependencies;
mod files;
mod names;
mod source;
