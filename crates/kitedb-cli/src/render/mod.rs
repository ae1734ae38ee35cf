//! How things look on a terminal. Styles are always written; standard output takes them out where no
//! terminal shows them.

pub mod bar;
pub mod csv;
pub mod listing;
pub mod number;
pub mod style;
pub mod table;
pub mod tree;
pub mod value;
