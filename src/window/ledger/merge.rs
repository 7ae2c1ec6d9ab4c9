//! Two ordered streams of keys, side by side: what one has and the other lacks, in bounded memory.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::pin::Pin;

use bytes::Bytes;
use futures_util::StreamExt;
use tokio_postgres::CopyOutStream;

use crate::failure::Failure;
use crate::pg::{Session, refused};

/// How one column of the key is ordered, by server and by us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// As a whole number.
    Number,
    /// By the bytes of its text (collation `C`), which no locale and no type bends.
    Bytes,
}

/// One step of a merge.
pub(super) enum Step {
    /// Only here, in the live database.
    Here(Bytes),
    /// Only there, in the guard.
    There(Bytes),
    /// In both; the whole lines.
    Both(Bytes, Bytes),
}

/// Lines of `COPY` text of two sessions, each ordered by its first columns, walked once.
pub(super) struct Merge {
    what: String,
    orders: Vec<Order>,
    here: Side,
    there: Side,
}

struct Side {
    rows: Pin<Box<CopyOutStream>>,
    at: Option<Bytes>,
}

impl Merge {
    /// Starts both streams; `orders` says how each column of the key is ordered by both statements.
    ///
    /// # Errors
    /// The server's.
    pub async fn begin(
        what: impl Into<String>,
        orders: Vec<Order>,
        (here, copy_here): (&Session, &str),
        (there, copy_there): (&Session, &str),
    ) -> Result<Self, Failure> {
        let what = what.into();
        let failed = |error: tokio_postgres::Error| refused(&what, &error);
        let (here, there) =
            tokio::try_join!(here.copy_out(copy_here), there.copy_out(copy_there)).map_err(failed)?;
        let side = |rows| Side { rows: Box::pin(rows), at: None };
        let mut merge = Self { orders, here: side(here), there: side(there), what };
        tokio::try_join!(merge.here.advance(), merge.there.advance())
            .map_err(|error| refused(&merge.what, &error))?;
        Ok(merge)
    }

    /// The next key of either side.
    ///
    /// # Errors
    /// The server's, or a line that is no key.
    pub async fn next(&mut self) -> Result<Option<Step>, Failure> {
        let order = match (&self.here.at, &self.there.at) {
            (None, None) => return Ok(None),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(here), Some(there)) => {
                compare(&self.orders, here, there).ok_or_else(|| Failure::internal(&self.what))?
            }
        };
        let (orders, what) = (&self.orders, &self.what);
        let here = if order.is_le() { self.here.step(orders, what).await? } else { None };
        let there = if order.is_ge() { self.there.step(orders, what).await? } else { None };
        Ok(match (here, there) {
            (Some(here), Some(there)) => Some(Step::Both(here, there)),
            (Some(here), None) => Some(Step::Here(here)),
            (None, Some(there)) => Some(Step::There(there)),
            (None, None) => None,
        })
    }
}

impl Side {
    /// As [`Side::advance`], and sees that the keys ascend: else the merge would find differences that are none.
    async fn step(&mut self, orders: &[Order], what: &str) -> Result<Option<Bytes>, Failure> {
        let before = self.advance().await.map_err(|error| refused(what, &error))?;
        match (&before, &self.at) {
            (Some(before), Some(next)) if compare(orders, before, next) != Some(Ordering::Less) => {
                Err(Failure::internal(what)
                    .because_of("the server gave the keys in another order than asked for"))
            }
            _ => Ok(before),
        }
    }

    /// Reads the next line, and gives the one before.
    async fn advance(&mut self) -> Result<Option<Bytes>, tokio_postgres::Error> {
        let next = self.rows.next().await.transpose()?;
        Ok(std::mem::replace(&mut self.at, next))
    }
}

/// The order of two lines by their first columns; `None` if a number is none.
fn compare(orders: &[Order], left: &[u8], right: &[u8]) -> Option<Ordering> {
    let (mut left, mut right) = (columns(left), columns(right));
    for order in orders {
        let (a, b) = (left.next()?, right.next()?);
        let found = match order {
            Order::Number => number(a)?.cmp(&number(b)?),
            Order::Bytes => unescape(a).cmp(&unescape(b)),
        };
        if found.is_ne() {
            return Some(found);
        }
    }
    Some(Ordering::Equal)
}

/// A raw tab parts columns and nothing else: those in values are escaped.
fn columns(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.strip_suffix(b"\n").unwrap_or(line).split(|byte| *byte == b'\t')
}

fn number(column: &[u8]) -> Option<i64> {
    std::str::from_utf8(column).ok()?.parse().ok()
}

/// A value without the backslashes that COPY's text format writes (PostgreSQL manual, "COPY", Text Format).
fn unescape(column: &[u8]) -> Cow<'_, [u8]> {
    if memchr::memchr(b'\\', column).is_none() {
        return Cow::Borrowed(column);
    }
    let mut plain = Vec::with_capacity(column.len());
    let mut bytes = column.iter().copied();
    while let Some(byte) = bytes.next() {
        plain.push(match (byte, (byte == b'\\').then(|| bytes.next()).flatten()) {
            (_, Some(b'b')) => 8,
            (_, Some(b'f')) => 12,
            (_, Some(b'n')) => b'\n',
            (_, Some(b'r')) => b'\r',
            (_, Some(b't')) => b'\t',
            (_, Some(b'v')) => 11,
            (_, Some(other)) => other,
            (plain, None) => plain,
        });
    }
    Cow::Owned(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_no_text() {
        use Order::{Bytes, Number};
        assert_eq!(compare(&[Number], b"9\n", b"10\n"), Some(Ordering::Less));
        assert_eq!(compare(&[Bytes], b"9\n", b"10\n"), Some(Ordering::Greater));
        assert_eq!(compare(&[Number], b"-2\n", b"1\n"), Some(Ordering::Less));
        assert_eq!(compare(&[Number, Bytes], b"1\tb\n", b"1\ta\n"), Some(Ordering::Greater));
        assert_eq!(compare(&[Number], b"1\tx\n", b"1\ty\n"), Some(Ordering::Equal), "only the key counts");
        assert_eq!(compare(&[Number], b"x\n", b"1\n"), None);
    }

    #[test]
    fn what_is_escaped_is_ordered_as_the_server_orders_it() {
        // A tab (9) comes before a blank (32); its escape would come after it.
        assert_eq!(compare(&[Order::Bytes], b"a\\tb\n", b"a b\n"), Some(Ordering::Less));
        assert_eq!(compare(&[Order::Bytes], b"a\\\\\n", b"aZ\n"), Some(Ordering::Greater));
        assert_eq!(&*unescape(b"\\b\\f\\n\\r\\t\\v\\\\"), b"\x08\x0c\n\r\t\x0b\\");
    }
}
