//! Where does one record end and the next begin?

pub(crate) mod blocks;
pub(crate) mod documents;
pub(crate) mod enclosed;
pub(crate) mod lines;
pub(crate) mod utf16;
