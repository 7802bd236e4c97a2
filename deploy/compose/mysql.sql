-- Runs once, when the database is made: a table, and the account that captures it.
CREATE TABLE erp.parts (id bigint AUTO_INCREMENT PRIMARY KEY, name varchar(100) NOT NULL, price decimal(10, 2));
INSERT INTO erp.parts (name, price) VALUES ('bolt', 0.10), ('nut', 0.05);
CREATE USER tailrace IDENTIFIED BY 'not-a-secret';
GRANT SELECT, REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO tailrace;
GRANT LOCK TABLES ON erp.* TO tailrace;
