-- revision: 989ceebf408f
-- revises: 5f2a9c41d07e
-- Order totals as a view, and orders of a day by index
-- The view stores nothing, so taking it back loses nothing.

-- upgrade
CREATE INDEX orders_placed_at_idx ON orders (placed_at);

CREATE VIEW order_totals AS
SELECT o.id AS order_id,
       o.customer_id,
       o.status,
       o.placed_at,
       coalesce(sum(i.quantity), 0) AS pieces,
       coalesce(sum(i.quantity * i.price), 0)::numeric(12, 2) AS total
FROM orders o
LEFT JOIN order_items i ON i.order_id = o.id
GROUP BY o.id;

COMMENT ON VIEW order_totals IS 'One row for each order: its pieces and what they cost together';

-- downgrade
DROP VIEW order_totals;
DROP INDEX orders_placed_at_idx;
