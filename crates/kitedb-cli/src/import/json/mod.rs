//! JSON on one line, read as it comes: [`text`] takes bytes from the input, [`value`] makes values of properties of them. No
//! line is in memory as a whole, and what is made of one is bounded while it is read, so that a line that is too long, or
//! stands for too much, is refused before it fills the memory.

mod fault;
mod text;
mod value;

pub use fault::Fault;
pub use text::{Scalar, Text};
