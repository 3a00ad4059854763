//! Passes of our own over what lies in the processor's memory: one, where burn's operations make several.
//!
//! burn-flex 0.22 computes element-wise functions on one thread, an exponential at a time, and writes every step of
//! an expression to memory; recorded for gradients, a softmax is five operations and an RMSNorm seven, most of whose
//! results are kept. Here a row is read and written once, by the vector instructions that the processor has
//! ([`pulp`]), with a gradient in closed form. Feature `parallel` spreads rows over rayon's threads. Results depend
//! neither on the instructions nor on the number of threads.
//!
//! Whoever calls an operation asks [`apply_to`] first, and elsewhere (another backend, another precision) goes on with
//! burn's. Tests hold both against each other. The program names burn's backend for the processor among burn's features.

mod exp;
mod memory;
mod norm;
mod rotary;
mod softmax;
mod swiglu;

pub use memory::{apply_to, edit, sum_of_squares};
pub use norm::rms_norm;
pub use rotary::rotate;
pub use softmax::biased_softmax;
pub use swiglu::swiglu;
