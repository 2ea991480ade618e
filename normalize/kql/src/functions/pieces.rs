//! Texts that are pieces of another array's texts: they share its buffers instead of copying the bytes.

use std::sync::Arc;

use arrow::array::{ArrayRef, ByteView, StringViewArray, StringViewBuilder};
use arrow::buffer::Buffer;

use super::args::BLOCK_BYTES;
use super::views::INLINE_BYTES;

/// One text of an array, and where its bytes stand.
pub(crate) struct Whole<'a> {
    pub(crate) text: &'a str,
    buffers: &'a [Buffer],
    buffer: usize,
    offset: usize,
}

impl<'a> Whole<'a> {
    /// The text of `row`, which is not null.
    #[inline]
    pub(crate) fn of(array: &'a StringViewArray, row: usize) -> Self {
        let view = ByteView::from(array.views()[row]);
        Self {
            text: array.value(row),
            buffers: array.data_buffers(),
            buffer: view.buffer_index as usize,
            offset: view.offset as usize,
        }
    }

    /// Where in the text `piece` stands, if it is a part of it (and not an equal text elsewhere).
    #[inline]
    fn position(&self, piece: &str) -> Option<usize> {
        let position = (piece.as_ptr() as usize).checked_sub(self.text.as_ptr() as usize)?;
        (position + piece.len() <= self.text.len()).then_some(position)
    }
}

/// Builds an array of pieces of one array's texts, with other texts between.
pub(crate) struct Pieces {
    builder: StringViewBuilder,
    /// What number each of the source's buffers has in the builder.
    blocks: Vec<Option<u32>>,
}

impl Pieces {
    pub(crate) fn with_capacity(rows: usize) -> Self {
        Self { builder: StringViewBuilder::with_capacity(rows).with_fixed_block_size(BLOCK_BYTES), blocks: Vec::new() }
    }

    /// Appends `piece`: shared if it is a part of `whole`, else copied.
    #[inline]
    pub(crate) fn append(&mut self, whole: &Whole<'_>, piece: &str) {
        if piece.len() > INLINE_BYTES
            && let Some(position) = whole.position(piece)
        {
            let block = self.block(whole);
            // Lengths and offsets of views are 32-bit, and those of `piece` are within one.
            let (offset, length) = ((whole.offset + position) as u32, piece.len() as u32);
            self.builder.try_append_view(block, offset, length).expect("a piece of a text is a text in its buffer");
        } else {
            self.builder.append_value(piece);
        }
    }

    #[inline]
    fn block(&mut self, whole: &Whole<'_>) -> u32 {
        if self.blocks.len() <= whole.buffer {
            self.blocks.resize(whole.buffers.len(), None);
        }
        *self.blocks[whole.buffer].get_or_insert_with(|| self.builder.append_block(whole.buffers[whole.buffer].clone()))
    }

    #[inline]
    pub(crate) fn append_null(&mut self) {
        self.builder.append_null();
    }

    pub(crate) fn finish(mut self) -> ArrayRef {
        Arc::new(self.builder.finish())
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::AsArray;

    use super::*;

    #[test]
    fn pieces_share_the_buffer_and_other_texts_do_not() {
        let texts = ["a text of more than twelve bytes", "short", "another text that is long enough"];
        let source = StringViewArray::from_iter_values(texts);
        let mut pieces = Pieces::with_capacity(5);
        let first = Whole::of(&source, 0);
        pieces.append(&first, &first.text[2..20]);
        pieces.append(&first, "more than twelve bytes, from elsewhere");
        pieces.append_null();
        pieces.append(&Whole::of(&source, 1), "short");
        let last = Whole::of(&source, 2);
        pieces.append(&last, &last.text[8..]);
        let made = pieces.finish();
        let made = made.as_string_view();
        let expected = [Some("text of more than "), Some("more than twelve bytes, from elsewhere"), None];
        let expected = expected.into_iter().chain([Some("short"), Some("text that is long enough")]);
        assert_eq!(made.iter().collect::<Vec<_>>(), expected.collect::<Vec<_>>());
        let shared = made.data_buffers().iter().filter(|buffer| buffer.as_ptr() == source.data_buffers()[0].as_ptr());
        assert_eq!(shared.count(), 1, "the source's buffer is taken once");
    }
}
