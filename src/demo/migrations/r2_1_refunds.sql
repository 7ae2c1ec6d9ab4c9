-- revision: 2b61f0a8d3c4
-- revises: c08085465bad
-- Add refunds, with one for each order that was cancelled

-- upgrade
CREATE TABLE refunds (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    order_id    bigint NOT NULL REFERENCES orders (id),
    amount      numeric(12, 2) NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now()
);

INSERT INTO refunds (order_id, amount)
SELECT order_id, total FROM order_totals WHERE status = 'cancelled';

-- downgrade
DROP TABLE refunds;
