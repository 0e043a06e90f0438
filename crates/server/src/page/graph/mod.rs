//! Who started what, who logged on where, and what was connected to? An entity graph drawn for reading.
//!
//! [`build`] makes nodes and edges of the events behind the evidence, [`layout`] puts them into columns from left to
//! right. The same as a nested list is for those who do not see the drawing.

mod build;
mod layout;
mod shape;

pub(crate) use layout::{Drawing, lay_out};

use super::exhibits::Exhibits;
use casemate_investigate::Investigation;

/// Most nodes drawn; further ones are counted by kind.
const MAX_NODES: usize = 40;

/// Draws an investigation; nothing where its events name no process, logon or connection.
pub(crate) fn draw(case: &Investigation, exhibits: &Exhibits) -> Option<Drawing> {
    lay_out(build::build(case, exhibits), MAX_NODES)
}
