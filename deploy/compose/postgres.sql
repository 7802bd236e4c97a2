-- Runs once, when the database is made: a table, and the account that captures it.
CREATE TABLE orders (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, customer text NOT NULL, amount numeric(10, 2));
INSERT INTO orders (customer, amount) VALUES ('Ada', 12.50), ('Grace', 7.25);
CREATE ROLE tailrace LOGIN REPLICATION PASSWORD 'not-a-secret';
GRANT USAGE ON SCHEMA public TO tailrace;
GRANT SELECT ON ALL TABLES IN SCHEMA public TO tailrace;
-- The owner of the tables makes it, since the account does not own them; Tailrace adopts it by its name.
CREATE PUBLICATION tailrace_shop FOR ALL TABLES;
