-- revision: a4c3178e9b60
-- revises: 7d90c55e1a2f
-- transaction: off
-- Prices with tax, and one product for each name
-- An index is built CONCURRENTLY, which no transaction allows: the prices are changed for good when it fails.

-- upgrade
UPDATE products SET price = round(price * 1.19, 2);
CREATE UNIQUE INDEX CONCURRENTLY products_name_key ON products (name);

-- downgrade
DROP INDEX CONCURRENTLY IF EXISTS products_name_key;
UPDATE products SET price = round(price / 1.19, 2);
