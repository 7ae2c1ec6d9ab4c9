//! What each version of the application's code asks of the schema.

/// One version of the code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Edition {
    /// Its number.
    pub version: u32,
    /// A query over everything that this code needs; gives the revision. It fails on a schema that the code
    /// was not written for.
    pub health: &'static str,
    /// Writes an order of one line ($1 customer, $2 product, $3 quantity) and gives its id: one statement,
    /// so the order is there whole or not at all.
    pub order: &'static str,
    /// One order ($1) as JSON.
    pub show: &'static str,
}

impl Edition {
    /// The code of a version; the latest for a number past it.
    pub(super) fn of(version: u32) -> Self {
        let (health, order) = match version {
            0 | 1 => (HEALTH_1, ORDER_1),
            2 => (HEALTH_2, ORDER_2),
            3 => (HEALTH_3, ORDER_2),
            _ => (HEALTH_4, ORDER_2),
        };
        Self { version, health, order, show: SHOW }
    }
}

const HEALTH_1: &str = "SELECT version_num, (SELECT name FROM customers LIMIT 1), \
     (SELECT total FROM order_totals WHERE order_id = 1) FROM alembic_version";

/// Since version 2 orders have a priority.
const HEALTH_2: &str = "SELECT version_num, (SELECT name FROM customers LIMIT 1), \
     (SELECT priority FROM orders WHERE id = 1) FROM alembic_version";

/// Since version 3 there are refunds.
const HEALTH_3: &str = "SELECT version_num, (SELECT name FROM customers LIMIT 1), \
     (SELECT count(*) FROM refunds) FROM alembic_version";

/// Version 4 was written for `given_name`; its migration made `first_name`.
const HEALTH_4: &str = "SELECT version_num, (SELECT given_name FROM customers LIMIT 1) FROM alembic_version";

const ORDER_1: &str = "WITH placed AS (INSERT INTO orders (customer_id) VALUES ($1) RETURNING id), \
     line AS (INSERT INTO order_items (order_id, product_id, quantity, price) \
         SELECT placed.id, p.id, $3, p.price FROM placed, products p WHERE p.id = $2 RETURNING order_id) \
     SELECT order_id FROM line";

const ORDER_2: &str = "WITH placed AS (INSERT INTO orders (customer_id, priority) \
         VALUES ($1, CASE WHEN $3 > 2 THEN 5 ELSE 0 END) RETURNING id), \
     line AS (INSERT INTO order_items (order_id, product_id, quantity, price) \
         SELECT placed.id, p.id, $3, p.price FROM placed, products p WHERE p.id = $2 RETURNING order_id) \
     SELECT order_id FROM line";

const SHOW: &str = "SELECT json_build_object('id', o.id, 'customer', o.customer_id, 'status', o.status, \
     'lines', (SELECT json_agg(json_build_object('product', i.product_id, 'quantity', i.quantity)) \
         FROM order_items i WHERE i.order_id = o.id))::text FROM orders o WHERE o.id = $1";
