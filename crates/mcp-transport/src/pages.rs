//! Lists in pages.

use rmcp::{ErrorData, model::PaginatedRequestParams};

/// The page of `items` that `request` asks for, at most `size` of them, and the cursor of the next page if there is one.
///
/// # Errors
/// When the cursor is not one that a page of this list came with.
pub fn page<T: Clone>(
    items: &[T],
    request: Option<PaginatedRequestParams>,
    size: usize,
) -> Result<(Vec<T>, Option<String>), ErrorData> {
    let start = match request.and_then(|request| request.cursor) {
        None => 0,
        Some(cursor) => position(&cursor, items.len(), size).ok_or_else(unknown_cursor)?,
    };
    let end = items.len().min(start.saturating_add(size));
    let next = (end < items.len()).then(|| format!("p{end}"));
    Ok((items[start..end].to_vec(), next))
}

/// The error for a cursor that no page came with.
#[must_use]
pub fn unknown_cursor() -> ErrorData {
    ErrorData::invalid_params("unknown cursor: pass the nextCursor of the page before, or none", None)
}

fn position(cursor: &str, length: usize, size: usize) -> Option<usize> {
    let digits = cursor.strip_prefix('p')?;
    let position: usize = digits.parse().ok()?;
    let given = position > 0 && position < length && position.is_multiple_of(size.max(1));
    given.then_some(position)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(cursor: &str) -> Option<PaginatedRequestParams> {
        Some(PaginatedRequestParams::default().with_cursor(Some(cursor.to_owned())))
    }

    #[test]
    fn pages_join_to_the_whole_list() {
        let items: Vec<_> = (0..7).collect();
        let mut seen = Vec::new();
        let mut cursor = None;
        loop {
            let (part, next) = page(&items, cursor.as_deref().and_then(request), 3).unwrap();
            seen.extend(part);
            cursor = next;
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(seen, items);
    }

    #[test]
    fn a_cursor_that_no_page_came_with_is_refused() {
        for wrong in ["", "p", "p0", "p1", "p99", "p-3", "3", "p3x"] {
            assert!(page(&[1, 2, 3, 4, 5], request(wrong), 3).is_err(), "{wrong}");
        }
    }
}
