//! The blocks of code in a document.

use std::collections::VecDeque;

/// What stands between two fences.
pub(crate) struct Block {
    /// The line of its first fence, from 1.
    pub(crate) line: usize,
    pub(crate) text: String,
}

/// The blocks of a page. What indents a fence does not count.
pub(crate) fn blocks(text: &str) -> VecDeque<Block> {
    let (mut found, mut open) = (VecDeque::new(), None);
    for (number, line) in (1..).zip(text.lines()) {
        let fence = line.trim_start().starts_with("```");
        open = match open.take() {
            None if fence => Some((line.len() - line.trim_start().len(), Block { line: number, text: String::new() })),
            Some((_, block)) if fence => {
                found.push_back(block);
                None
            }
            Some((indent, mut block)) => {
                block.text += &format!("{}\n", line.get(indent..).unwrap_or_default());
                Some((indent, block))
            }
            None => None,
        };
    }
    assert!(open.is_none(), "a block without an end");
    found
}
