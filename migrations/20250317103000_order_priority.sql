-- revision: c08085465bad
-- revises: 989ceebf408f
-- Add priority to orders
-- A column with a constant default is added without rewriting the table. The check reads it once, under the
-- lock; that is what the window is for.

-- upgrade
ALTER TABLE orders
    ADD COLUMN priority smallint NOT NULL DEFAULT 0,
    ADD CONSTRAINT orders_priority_check CHECK (priority BETWEEN 0 AND 9);

-- What is to be packed next: few rows of a large table, so a partial index.
CREATE INDEX orders_to_pack_idx ON orders (priority DESC, placed_at) WHERE status = 'paid';

COMMENT ON COLUMN orders.priority IS '0 is usual, 9 is packed first';

-- downgrade
DO $$
BEGIN
    IF EXISTS (SELECT FROM orders WHERE priority <> 0) THEN
        RAISE EXCEPTION 'orders have priorities that this downgrade would lose'
            USING HINT = 'Keep them elsewhere first, then UPDATE orders SET priority = 0.';
    END IF;
END
$$;

DROP INDEX orders_to_pack_idx;
ALTER TABLE orders DROP COLUMN priority;
