-- revision: e18b2f6d70c5
-- revises: c08085465bad
-- Split the names of customers

-- upgrade
ALTER TABLE customers ADD COLUMN first_name text, ADD COLUMN last_name text;
UPDATE customers SET first_name = split_part(name, ' ', 1), last_name = split_part(name, ' ', 2);
ALTER TABLE customers
    ALTER COLUMN first_name SET NOT NULL,
    ALTER COLUMN last_name SET NOT NULL,
    DROP COLUMN name;

-- downgrade
ALTER TABLE customers ADD COLUMN name text;
UPDATE customers SET name = first_name || ' ' || last_name;
ALTER TABLE customers ALTER COLUMN name SET NOT NULL, DROP COLUMN first_name, DROP COLUMN last_name;
