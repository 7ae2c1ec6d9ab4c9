//! The shop's role, database and rows: always the same rows, whatever the machine.

use bytes::Bytes;
use futures_util::SinkExt;

use crate::failure::Failure;
use crate::pg::{self, ConnInfo, Session, SessionOptions, quote_ident};

/// The role and the database; the role owns the database and has no superuser rights.
pub const NAME: &str = "shop";

/// Rows of `customers`; their ids are 1 to this.
pub const CUSTOMERS: u32 = 5_000;
/// Rows of `products`; their ids are 1 to this.
pub const PRODUCTS: u32 = 400;
/// Rows of `orders` before anybody orders.
pub const ORDERS: u32 = 20_000;

/// COPY text is sent in pieces of about this size.
const PIECE: usize = 64 * 1024;

const FIRST: [&str; 12] =
    ["Ada", "Bo", "Chiara", "Dmitri", "Elif", "Femi", "Grace", "Hana", "Ismael", "Jun", "Käthe", "Lucía"];
const LAST: [&str; 11] = [
    "Abebe", "Brandt", "Costa", "Dubois", "Eriksson", "Fischer", "García", "Haddad", "Ito", "Jensen",
    "O'Neil",
];
const THINGS: [&str; 10] =
    ["kettle", "lamp", "notebook", "chair", "scarf", "mug", "clock", "basket", "blanket", "knife"];
const COLOURS: [&str; 8] = ["red", "blue", "green", "black", "white", "grey", "oak", "brass"];
const STATUSES: [&str; 6] = ["placed", "paid", "paid", "shipped", "shipped", "cancelled"];

/// Makes the role and its empty database.
///
/// # Errors
/// The server's.
pub async fn create(superuser: &ConnInfo) -> Result<(), Failure> {
    let session = pg::connect(superuser, &SessionOptions::default()).await?;
    for statement in [
        format!("CREATE ROLE {} LOGIN CREATEDB NOSUPERUSER", quote_ident(NAME)),
        format!("CREATE DATABASE {} OWNER {}", quote_ident(NAME), quote_ident(NAME)),
    ] {
        session
            .batch_execute(&statement)
            .await
            .map_err(|error| failed("make the shop's database", &error))?;
    }
    Ok(())
}

/// Fills the tables of the first revisions; gives the number of rows.
///
/// # Errors
/// The server's.
pub async fn load(shop: &ConnInfo) -> Result<u64, Failure> {
    let session = pg::connect(shop, &SessionOptions::default()).await?;
    let mut rows = 0;
    rows += copy(&session, "customers (name, email, created_at)", customers()).await?;
    rows += copy(&session, "products (sku, name, price, stock)", products()).await?;
    rows += copy(&session, "orders (customer_id, status, placed_at, note)", orders()).await?;
    rows += copy(&session, "order_items (order_id, product_id, quantity, price)", order_items()).await?;
    session.batch_execute("ANALYZE").await.map_err(|error| failed("analyze the shop", &error))?;
    Ok(rows)
}

async fn copy(session: &Session, into: &str, rows: impl Iterator<Item = String>) -> Result<u64, Failure> {
    let failed = |error: tokio_postgres::Error| failed(&format!("load {into}"), &error);
    let sink = session.copy_in(&format!("COPY {into} FROM STDIN")).await.map_err(failed)?;
    let mut sink = std::pin::pin!(sink);
    let mut piece = String::with_capacity(PIECE + 256);
    for row in rows {
        piece.push_str(&row);
        piece.push('\n');
        if piece.len() >= PIECE {
            sink.send(Bytes::from(std::mem::take(&mut piece))).await.map_err(failed)?;
        }
    }
    sink.send(Bytes::from(piece)).await.map_err(failed)?;
    sink.as_mut().finish().await.map_err(failed)
}

fn customers() -> impl Iterator<Item = String> {
    (1..=CUSTOMERS).map(|id| {
        let mut dice = Dice::of("customer", id);
        let (first, last) = (dice.pick(&FIRST), dice.pick(&LAST));
        let (month, day) = (1 + dice.below(12), 1 + dice.below(28));
        format!("{first} {last}\tcustomer{id}@example.com\t2024-{month:02}-{day:02} 12:00:00+00")
    })
}

/// Some products share a name: a unique index on it cannot be built.
fn products() -> impl Iterator<Item = String> {
    (1..=PRODUCTS).map(|id| {
        let mut dice = Dice::of("product", id);
        let (colour, thing) = (dice.pick(&COLOURS), dice.pick(&THINGS));
        format!(
            "SKU-{id:05}\t{colour} {thing}\t{}.{:02}\t{}",
            1 + dice.below(200),
            dice.below(100),
            dice.below(500)
        )
    })
}

fn orders() -> impl Iterator<Item = String> {
    (1..=ORDERS).map(|id| {
        let mut dice = Dice::of("order", id);
        let (customer, status) = (1 + dice.below(CUSTOMERS), dice.pick(&STATUSES));
        let (month, day, hour) = (1 + dice.below(10), 1 + dice.below(28), dice.below(24));
        let note = if dice.below(5) == 0 { "leave it with the neighbours" } else { "\\N" };
        format!("{customer}\t{status}\t2025-{month:02}-{day:02} {hour:02}:30:00+00\t{note}")
    })
}

fn order_items() -> impl Iterator<Item = String> {
    (1..=ORDERS).flat_map(|order| {
        let mut dice = Dice::of("items", order);
        let (first, lines) = (dice.below(PRODUCTS), 1 + dice.below(4));
        (0..lines).map(move |line| {
            let product = 1 + (first + line * 7) % PRODUCTS;
            format!(
                "{order}\t{product}\t{}\t{}.{:02}",
                1 + dice.below(3),
                1 + dice.below(200),
                dice.below(100)
            )
        })
    })
}

/// Numbers that look random and are the same each time (SplitMix64).
pub(super) struct Dice(u64);

impl Dice {
    /// The dice of one thing.
    pub(super) fn of(kind: &str, id: u32) -> Self {
        Self(xxhash_rust::xxh3::xxh3_64_with_seed(kind.as_bytes(), u64::from(id)))
    }

    /// Less than `bound`, which is not zero.
    pub(super) fn below(&mut self, bound: u32) -> u32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % u64::from(bound)) as u32
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len() as u32) as usize]
    }
}

fn failed(what: &str, error: &tokio_postgres::Error) -> Failure {
    Failure::failed(what).because_of(pg::describe_error(error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn the_rows_are_always_the_same_and_keys_are_unique() {
        assert!(orders().eq(orders()));
        let keys: Vec<(String, String)> = order_items()
            .map(|row| {
                let mut fields = row.split('\t').map(String::from);
                (fields.next().unwrap(), fields.next().unwrap())
            })
            .collect();
        assert_eq!(keys.iter().collect::<HashSet<_>>().len(), keys.len());
        assert!(keys.len() > 40_000);
        assert_eq!(customers().next().unwrap().split('\t').count(), 3);
    }

    #[test]
    fn two_products_share_a_name() {
        let names: Vec<String> = products().map(|row| row.split('\t').nth(1).unwrap().to_string()).collect();
        assert!(names.iter().collect::<HashSet<_>>().len() < names.len());
    }
}
