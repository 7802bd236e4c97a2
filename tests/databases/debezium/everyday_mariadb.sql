-- Tables of the comparison on MariaDB: every type, null and not, with defaults.
CREATE TABLE numbers (id int unsigned PRIMARY KEY AUTO_INCREMENT,
  ti tinyint NOT NULL DEFAULT 3, ti1 tinyint(1) NOT NULL DEFAULT 1, tiu tinyint unsigned, si smallint DEFAULT -5, siu smallint unsigned,
  mi mediumint, miu mediumint unsigned, i int DEFAULT 7, iu int unsigned, bi bigint, biu bigint unsigned NOT NULL DEFAULT 5,
  f float DEFAULT 1.5, f103 float(10,3), f24 float(24), f25 float(25), d double DEFAULT 0.1, d123 double(12,3),
  n decimal(10,2) NOT NULL DEFAULT 1.20, n0 decimal(5,0), n6530 decimal(65,30), b1 bit(1) DEFAULT b'1', b10 bit(10) DEFAULT b'101',
  b64 bit(64), y year DEFAULT 2020, bo boolean DEFAULT true);
CREATE TABLE times (id bigint PRIMARY KEY, dt date DEFAULT '2024-02-29', dn date NOT NULL, t0 time DEFAULT '12:00:01', t3 time(3), t6 time(6),
  dt0 datetime DEFAULT '2024-01-02 03:04:05', dt2 datetime(2) DEFAULT CURRENT_TIMESTAMP(2), dt3 datetime(3),
  dt6 datetime(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6), ts0 timestamp NULL DEFAULT '2024-01-02 03:04:05',
  ts2 timestamp(2) NOT NULL DEFAULT CURRENT_TIMESTAMP(2), ts6 timestamp(6) NULL);
CREATE TABLE texts (a varchar(20), b int, c char(5) DEFAULT 'x', vc varchar(30) NOT NULL DEFAULT 'it''s', vcl varchar(30) CHARACTER SET latin1,
  vce varchar(30) DEFAULT '', tx text, mt mediumtext, u16 varchar(9) CHARACTER SET utf16, bin binary(4), vb varbinary(30), bl blob,
  bind binary(3) DEFAULT 'ab', e enum('a','b,c','é') DEFAULT 'a', s set('x','y') NOT NULL DEFAULT 'x,y', PRIMARY KEY (b, a));
CREATE TABLE others (id int PRIMARY KEY, j json, g geometry, p point, pn point NOT NULL, ls linestring,
  gen int AS (id + 1) VIRTUAL, gens int AS (id + 2) STORED, inv int INVISIBLE DEFAULT 9, un int NOT NULL DEFAULT (5 + 5));
CREATE TABLE keyless (v varchar(9), n int);
CREATE TABLE zz_marker (id int PRIMARY KEY);
CREATE TABLE own (id int PRIMARY KEY, u uuid, n int, js json NOT NULL DEFAULT '{}');
