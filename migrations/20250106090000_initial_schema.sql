-- revision: 5f2a9c41d07e
-- Initial schema: customers, products, orders
-- An order belongs to a customer and has one line for each product in it. What was paid for a product is kept
-- on the line, because products change their price.

-- upgrade
CREATE TYPE order_status AS ENUM ('placed', 'paid', 'shipped', 'cancelled');

CREATE TABLE customers (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name        text NOT NULL,
    email       text NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT customers_email_key UNIQUE (email)
);

CREATE TABLE products (
    id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    sku    text NOT NULL,
    name   text NOT NULL,
    price  numeric(12, 2) NOT NULL,
    stock  integer NOT NULL DEFAULT 0,
    CONSTRAINT products_sku_key UNIQUE (sku),
    CONSTRAINT products_price_check CHECK (price >= 0),
    CONSTRAINT products_stock_check CHECK (stock >= 0)
);

CREATE TABLE orders (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    customer_id  bigint NOT NULL,
    status       order_status NOT NULL DEFAULT 'placed',
    placed_at    timestamptz NOT NULL DEFAULT now(),
    note         text,
    CONSTRAINT orders_customer_id_fkey FOREIGN KEY (customer_id) REFERENCES customers (id)
);

CREATE TABLE order_items (
    order_id    bigint NOT NULL,
    product_id  bigint NOT NULL,
    quantity    integer NOT NULL,
    price       numeric(12, 2) NOT NULL,
    CONSTRAINT order_items_pkey PRIMARY KEY (order_id, product_id),
    CONSTRAINT order_items_order_id_fkey FOREIGN KEY (order_id) REFERENCES orders (id) ON DELETE CASCADE,
    CONSTRAINT order_items_product_id_fkey FOREIGN KEY (product_id) REFERENCES products (id),
    CONSTRAINT order_items_quantity_check CHECK (quantity > 0)
);

-- A foreign key makes no index on its own side.
CREATE INDEX orders_customer_id_idx ON orders (customer_id);
CREATE INDEX order_items_product_id_idx ON order_items (product_id);

COMMENT ON COLUMN order_items.price IS 'What was paid for one piece, whatever the product costs today';

-- downgrade
DO $$
BEGIN
    IF EXISTS (SELECT FROM customers) OR EXISTS (SELECT FROM products) THEN
        RAISE EXCEPTION 'the shop is not empty: this downgrade would drop its customers, products and orders'
            USING HINT = 'Put production back from a backup, or delete the rows first if they are not wanted.';
    END IF;
END
$$;

DROP TABLE order_items;
DROP TABLE orders;
DROP TABLE products;
DROP TABLE customers;
DROP TYPE order_status;
