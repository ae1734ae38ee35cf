//! What the hardware allows: the same bytes by a bare `write`, the same graph in bare arrays.

pub mod csr;
pub mod write;
