-- revision: 7d90c55e1a2f
-- revises: 2b61f0a8d3c4
-- Drop the notes of orders: nobody reads them
-- There is no downgrade: what customers wrote is gone.

-- upgrade
ALTER TABLE orders DROP COLUMN note;
