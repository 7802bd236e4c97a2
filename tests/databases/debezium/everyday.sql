-- Tables over the everyday types with edge values, and over everything that decides about keys and old rows.
-- Each statement ends with a semicolon at the end of its line. Names sort as Debezium's snapshot takes them.
CREATE SCHEMA app;
CREATE EXTENSION citext;
CREATE EXTENSION hstore;
CREATE EXTENSION ltree;
CREATE TYPE app.mood AS ENUM ('sad', 'ok', 'happy');
CREATE TYPE app."Mood Two" AS ENUM ('a,b', 'c''d', 'e"f');
CREATE TYPE app.pair AS (a int, b text);
CREATE DOMAIN app.positive AS int CHECK (value > 0);
CREATE DOMAIN app.price AS numeric(12,3) DEFAULT 5;
CREATE DOMAIN app.deep_price AS app.price;
CREATE DOMAIN app.required AS varchar(20) NOT NULL;
CREATE DOMAIN app.moment AS timestamp(2);
CREATE DOMAIN app.dint AS int DEFAULT 9;
CREATE DOMAIN app.dtext AS text;
CREATE SEQUENCE app.counter;
CREATE FUNCTION app.five() RETURNS int LANGUAGE sql AS 'SELECT 5';

CREATE TABLE app.scalars (
    id int PRIMARY KEY, b bool, i2 int2, i4 int4, i8 int8, o oid, f4 float4, f8 float8, m money, tx text, vc varchar(10),
    ch char(5), nm name, cc "char", by bytea, u uuid, j json, jb jsonb, x xml, e app.mood, e2 app."Mood Two", cit citext,
    b1 bit(1), b5 bit(5), b16 bit(16), vb varbit, vb9 varbit(9), ip inet, ci cidr, mac macaddr, mac8 macaddr8,
    r4 int4range, r8 int8range, rn numrange, rd daterange, rt tsrange, rz tstzrange, tsv tsvector, lt ltree, hs hstore, pt point);
INSERT INTO app.scalars VALUES (1, true, 1, 2, 3, 4, 1.5, 2.5, 12.5, 'text', 'vc', 'ch', 'nm', 'c', '\xdeadbeef',
    '11111111-2222-3333-4444-555555555555', '{"a": 1}', '{"a": 1}', '<a/>', 'ok', 'c''d', 'CiText', B'1', B'10110',
    B'0000000000000001', B'101', B'101010101', '10.0.0.1', '10.0.0.0/8', '08:00:2b:01:02:03', '08:00:2b:01:02:03:04:05',
    '[1,5)', '[1,5)', '[1.5,2.5]', '[2020-01-01,2021-01-01)', '[2020-01-01,2021-01-01)', '[2020-01-01 00:00+00,2021-01-01 00:00+00)',
    'a b', 'a.b.c', 'a=>1', '(1,-2.5)');
INSERT INTO app.scalars VALUES (2, false, -32768, -2147483648, -9223372036854775808, 0, '-Infinity', '-Infinity',
    -92233720368547758.08, '', '', '', '', '', '\x', '00000000-0000-0000-0000-000000000000', 'null', 'null', '', 'sad',
    'a,b', '', B'0', B'00000', B'1000000000000000', B'', B'', '::1', '::/0', '00:00:00:00:00:00', '00:00:00:00:00:00:00:00',
    'empty', '(,)', '[0,0]', 'empty', '(,)', '(,infinity]', '', '', '', '(0,0)');
INSERT INTO app.scalars VALUES (3, true, 32767, 2147483647, 9223372036854775807, 4294967295, 'NaN', 'NaN',
    92233720368547758.07, 'naïve "quoted" \back 🦆' || chr(10) || chr(9), 'ÄÖÜ', '  é', 'a' , 'z', '\x00ff',
    'ffffffff-ffff-ffff-ffff-ffffffffffff', '[1,  2]', '{"b": [1, 2.50, null, "é"], "a": {}}', '<a b="c">é</a>', 'happy', 'e"f',
    'É', B'1', B'11111', B'1111111111111111', B'000000000', B'1', '192.168.1.0/24', '192.168.1.0/24', 'ff:ff:ff:ff:ff:ff',
    'ff:ff:ff:ff:ff:ff:ff:ff', '[1,2]', '[-5,)', '(,1)', '[2020-01-01,infinity]', '(,2020-01-01 00:00:00.5]', '(,)', '''it''''s'':1A b:2',
    'Top.Science_1', '"k 1"=>NULL', '(-1e300,1e-300)');
INSERT INTO app.scalars (id, f4, f8, i4, tx) VALUES (4, 3.4028235e38, 1.7976931348623157e308, 0, 'x'), (5, 1.17549435e-38, 5e-324, -1, 'y'),
    (6, 0.1, 0.1, 7, 'z'), (7, '-0', '-0', 1, repeat('long ', 20000)), (8, 'Infinity', 'Infinity', 1, null), (9, 16777217, 9007199254740993, 1, 'é');
INSERT INTO app.scalars (id) VALUES (10);

CREATE TABLE app.numbers (id int PRIMARY KEY, n102 numeric(10,2), n numeric, n0 numeric(5), nneg numeric(5,-2), nfrac numeric(3,5),
    price app.price, deep app.deep_price, positive app.positive, required app.required, moment app.moment, n38 numeric(38,10));
INSERT INTO app.numbers VALUES (1, 1.10, 1.10, 5, 12300, 0.00123, 1.5, 2.5, 5, 'x', '2020-01-01 00:00:00.12', 1234567890123456789012345678.0123456789),
    (2, -99999999.99, 100, -5, -12300, -0.00001, -1.5, -1, 6, 'x', NULL, -0.0000000001),
    (3, 0, 0.00, 0, 0, 0, 0, 0, 1, '', '1969-12-31 23:59:59.99', 0),
    (4, NULL, 123456789012345678901234567890123456789012345678901234567890.123456789012345678901234567890, NULL, NULL, NULL, NULL, NULL, NULL, 'x', NULL, NULL),
    (5, 127.99, -0.000, 127, 100, 0.00999, 0.001, 128, 2147483647, 'x', NULL, 0.5), (6, 1.28, 1e50, 128, -100, NULL, NULL, NULL, NULL, 'x', NULL, -0.5),
    (7, 'NaN', 'NaN', NULL, NULL, NULL, NULL, NULL, NULL, 'x', NULL, 'NaN'), (8, NULL, 'Infinity', NULL, NULL, NULL, NULL, NULL, NULL, 'x', NULL, NULL),
    (9, NULL, '-Infinity', NULL, NULL, NULL, NULL, NULL, NULL, 'x', NULL, NULL), (10, NULL, repeat('9', 3000)::numeric / 10 ^ 1000::numeric, NULL, NULL, NULL, NULL, NULL, NULL, 'x', NULL, NULL);

CREATE TABLE app.times (id int PRIMARY KEY, d date, ti time, ti0 time(0), ti3 time(3), ttz timetz, ttz2 timetz(2), ts timestamp, ts0 timestamp(0),
    ts3 timestamp(3), ts4 timestamp(4), tz timestamptz, tz0 timestamptz(0), tz3 timestamptz(3), iv interval, ivs interval second(0), ivy interval year to month);
INSERT INTO app.times VALUES
    (1, '0001-01-01', '00:00:00', '00:00', '00:00', '00:00+00', '00:00+00', '0001-01-01', '0001-01-01', '0001-01-01', '0001-01-01', '0001-01-01 00:00+00', '0001-01-01 00:00+00', '0001-01-01 00:00+00', '0', '1', '1 year'),
    (2, '0001-01-01 BC', '23:59:59.999999', '23:59:59', '23:59:59.999', '23:59:59.999999+15:59', '23:59:59.99-15:59', '0001-01-01 BC', '0001-01-01 BC', '0001-01-01 BC', '0001-01-01 BC', '0001-01-01 00:00+00 BC', '0001-01-01 00:00+00 BC', '0001-01-01 00:00+00 BC', '-1 year', '-1', '-1 year'),
    (3, '4713-01-01 BC', '24:00', '24:00', '24:00', '24:00+00', '24:00+02', '4713-01-01 BC', '4713-01-01 BC', '4713-01-01 BC', '4713-01-01 BC', '4713-01-01 00:00+00 BC', '4713-01-01 00:00+00 BC', '4713-01-01 00:00+00 BC', '1 mon -1 day', '1', '1 mon'),
    (4, '5874897-12-31', '12:00:00.1', '12:00', '12:00:00.1', '12:00:00.1+05:30', '12:00:00.1+05:30', '294246-12-31 23:59:59.999999', '294276-12-31 23:59:59', '294276-12-31 23:59:59.999', '294246-12-31 23:59:59.9999', '294276-12-31 23:59:59.999999+00', '294276-12-31 23:59:59+00', '294276-12-31 23:59:59.999+00', '-1 year 2 mons -3 days +04:05:06.000007', '1', '100 years'),
    (5, 'infinity', NULL, NULL, NULL, NULL, NULL, 'infinity', 'infinity', 'infinity', 'infinity', 'infinity', 'infinity', 'infinity', NULL, NULL, NULL),
    (6, '-infinity', NULL, NULL, NULL, NULL, NULL, '-infinity', '-infinity', '-infinity', '-infinity', '-infinity', '-infinity', '-infinity', NULL, NULL, NULL),
    (7, '10000-01-01', '12:00:00.10', '12:00', '12:00:00.12', '01:00:00.120+05:30', '12:00:00.1+05:30', '10000-01-01 00:00:00.5', '10000-01-01', '10000-01-01 00:00:00.5', '10000-01-01 00:00:00.5', '10000-01-01 00:00:00.5+00', '10000-01-01 00:00+00', '10000-01-01 00:00:00.5+00', '1.5 sec', '1', '1 mon'),
    (8, '1969-12-31', '12:00:00.000001', '12:00', '12:00:00.001', '01:00:00-00:30', '00:00:00+05', '1969-12-31 23:59:59.999999', '1969-12-31 23:59:59', '1969-12-31 23:59:59.999', '1969-12-31 23:59:59.9999', '1969-12-31 23:59:59.999999+00', '1969-12-31 23:59:59+00', '1969-12-31 23:59:59.999+00', '-0.000001 sec', '1', '1 mon'),
    (9, '2024-06-30', '12:00:00.123400', '12:00', '12:00:00.120', '01:00:00+00', '12:00:00+00', '2024-06-30 12:00:00.120000', '2024-06-30', '2024-06-30', '2024-06-30', '2024-06-30 12:00:00.120000+02', '2024-06-30 12:00:00-11', '2024-06-30 12:00:00.120+05:30', '1 year 13 mons 40 days 25:51:51.000001', '1', '1 mon');
INSERT INTO app.times (id, d, tz, tz0, tz3, iv) VALUES (10, '2024-02-29', '2024-02-29 23:59:59.9999995+00', '2024-06-30 12:00:00.5+00', '2024-06-30 12:00:00.1+00', '3 hours -5 min'), (11, '1582-10-10', '1582-10-10 12:00+00', '1900-03-01 00:00+00', '2000-02-29 00:00+00', '100:00:00');

CREATE TABLE app.arrays (id int PRIMARY KEY, i2 int2[], i4 int[] NOT NULL DEFAULT '{}', i8 int8[], o oid[], b bool[], f4 float4[], f8 float8[], n102 numeric(10,2)[],
    n numeric[], tx text[], vc varchar(10)[], ch char(3)[], by bytea[], d date[], ti time[], ti3 time(3)[], ttz timetz[], ts timestamp[], ts3 timestamp(3)[],
    tz timestamptz[], tz3 timestamptz(3)[], u uuid[], j json[], jb jsonb[], e app.mood[], ip inet[], ci cidr[], mac macaddr[], r4 int4range[], cit citext[],
    cc "char"[], nm name[], x xml[], m money[], iv interval[], b5 bit(5)[], b1 bit[], vb varbit[], positive app.positive[], lt ltree[], v2 int2vector);
INSERT INTO app.arrays VALUES (1, '{1,NULL}', '{1,2}', '{3}', '{4}', '{t,f,NULL}', '{1.5,NaN}', '{2.5,Infinity}', '{1.10,NULL}', '{1.10,100}',
    '{a,NULL,"q\"\\x, y",NULL,"","NULL"}', '{vc}', '{c}', '{"\\xdead",NULL}', '{2020-01-01}', '{10:11:12.5}', '{10:11:12.5}', '{10:11:12+02}', '{"2020-01-01 10:11:12.123456"}',
    '{"2020-01-01 10:11:12.123"}', '{"2020-01-01 10:11:12.12+02"}', '{"2020-01-01 10:11:12.12+02"}', '{11111111-2222-3333-4444-555555555555}', array['{"a":1}'::json],
    array['{"a":1}'::jsonb], '{ok,sad}', '{1.1.1.1}', '{1.0.0.0/8}', '{08:00:2b:01:02:03}', '{"[1,5)"}', '{Ci}', '{c}', '{nm}', array['<a/>'::xml], '{5}', '{1 day}',
    array[B'10110'], array[B'1'], array[B'101'], '{1}', '{a.b}', '1 2');
INSERT INTO app.arrays VALUES (2, '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}',
    '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '');
INSERT INTO app.arrays (id) VALUES (3);
INSERT INTO app.arrays (id, i4, tx, ttz, d, ts, tz) VALUES (4, '[0:1]={1,2}', '[2:3]={a,b}', '{10:11:12.5+02}', '{infinity,"0001-01-01 BC"}', '{infinity,"0001-01-01 00:00:00 BC"}', '{infinity,"0001-01-01 00:00:00+00 BC"}');

CREATE TABLE app.left_out (id int PRIMARY KEY, mr int4multirange, pair app.pair, pairs app.pair[], query tsquery, lsn pg_lsn, xid xid, class regclass, place tid);
INSERT INTO app.left_out VALUES (1, '{[1,2),[5,6)}', ROW (1, 'x'), array[ROW (1, 'x')::app.pair], 'a & b', '0/16B3748', '5', 'app.numbers', '(0,1)');

CREATE TABLE app.defaults (id int PRIMARY KEY,
    i_lit int DEFAULT 42, i_nn int NOT NULL DEFAULT 42, i_neg int DEFAULT -7, i_nnneg int NOT NULL DEFAULT -7, i_fn int DEFAULT app.five(), i_nnfn int NOT NULL DEFAULT app.five(),
    i_nnseq int NOT NULL DEFAULT nextval('app.counter'), i_seq int DEFAULT nextval('app.counter'), i_expr int DEFAULT 1 + 2, i_nnexpr int NOT NULL DEFAULT (1 + 2), i_null int DEFAULT NULL,
    i2 int2 NOT NULL DEFAULT 3, i8 int8 NOT NULL DEFAULT 9223372036854775807, i8n int8 DEFAULT '-5'::bigint, big serial, bigs bigserial, sm smallserial,
    gen int GENERATED ALWAYS AS IDENTITY, gend int8 GENERATED BY DEFAULT AS IDENTITY,
    b bool DEFAULT true, bn bool NOT NULL DEFAULT false, f4 float4 DEFAULT 1.25, f41 float4 DEFAULT 0.1, f8 float8 NOT NULL DEFAULT 1.5e10, f8i float8 DEFAULT 'infinity', f8n float8 DEFAULT 'nan', f4nn float4 NOT NULL DEFAULT -0.5,
    n102 numeric(10,2) DEFAULT 1.5, n102nn numeric(10,2) NOT NULL DEFAULT 12.345, nn numeric NOT NULL DEFAULT 1.50, n numeric DEFAULT 7, n102f numeric(10,2) NOT NULL DEFAULT random(), n0 numeric(5) NOT NULL DEFAULT 3, n102neg numeric(10,2) NOT NULL DEFAULT -7,
    tx text DEFAULT 'a''b"c\d', txnn text NOT NULL DEFAULT 'x', txe text NOT NULL DEFAULT '', txf text NOT NULL DEFAULT upper('x'), vc varchar(10) NOT NULL DEFAULT 'vc', ch char(5) NOT NULL DEFAULT 'ch', chn char(5) DEFAULT 'ch',
    nm name NOT NULL DEFAULT 'nm', cit citext NOT NULL DEFAULT 'CiT', cu text NOT NULL DEFAULT CURRENT_USER, txc text NOT NULL DEFAULT 'a' || 'b', txp text NOT NULL DEFAULT 'f(x)', txu text NOT NULL DEFAULT 'é',
    by bytea NOT NULL DEFAULT '\x01ff', byn bytea DEFAULT '\x01ff', u uuid NOT NULL DEFAULT gen_random_uuid(), u2 uuid DEFAULT '11111111-2222-3333-4444-555555555555', un uuid DEFAULT gen_random_uuid(),
    j json NOT NULL DEFAULT '{"a":1}', jb jsonb NOT NULL DEFAULT '{"a": [1, 2]}', jbn jsonb DEFAULT '[]', x xml NOT NULL DEFAULT '<a/>',
    d date NOT NULL DEFAULT '2020-02-03', dc date NOT NULL DEFAULT current_date, dcn date DEFAULT current_date, dinf date DEFAULT 'infinity', t time NOT NULL DEFAULT '10:11:12.5', tc time NOT NULL DEFAULT localtime, t3 time(3) DEFAULT '10:11:12.123',
    ttz timetz NOT NULL DEFAULT '10:11:12+02', ttzc timetz NOT NULL DEFAULT current_time, ts timestamp NOT NULL DEFAULT '2020-02-03 04:05:06.789', tsc timestamp NOT NULL DEFAULT now(), tsn timestamp DEFAULT now(), ts3 timestamp(3) NOT NULL DEFAULT '2020-02-03 04:05:06.789',
    tsl timestamp NOT NULL DEFAULT localtimestamp, tsinf timestamp DEFAULT 'infinity', tz timestamptz NOT NULL DEFAULT '2020-02-03 04:05:06.789+02', tzc timestamptz NOT NULL DEFAULT now(), tzn timestamptz DEFAULT now(), tzinf timestamptz DEFAULT 'infinity', tz0 timestamptz(0) NOT NULL DEFAULT now(),
    tzcc timestamptz NOT NULL DEFAULT clock_timestamp(), iv interval NOT NULL DEFAULT '1 day', ivn interval DEFAULT '1 mon 2 days 03:04:05.6', e app.mood NOT NULL DEFAULT 'ok', en app.mood DEFAULT 'sad', e2 app."Mood Two" NOT NULL DEFAULT 'c''d', e2n app."Mood Two" DEFAULT 'a,b',
    b1 bit(1) NOT NULL DEFAULT B'1', b1n bit(1) DEFAULT B'0', b5 bit(5) NOT NULL DEFAULT B'10110', vb varbit(5) NOT NULL DEFAULT B'101', vbu varbit NOT NULL DEFAULT B'101', vb1 varbit(1) NOT NULL DEFAULT B'1',
    arr int[] NOT NULL DEFAULT '{}', arrn int[] DEFAULT '{1,2}', arrt text[] NOT NULL DEFAULT array['a', 'b']::text[], ip inet NOT NULL DEFAULT '127.0.0.1', m money NOT NULL DEFAULT 5, o oid NOT NULL DEFAULT 7, r int4range NOT NULL DEFAULT '[1,2)', mac macaddr NOT NULL DEFAULT '08:00:2b:01:02:03',
    dd app.dint NOT NULL DEFAULT 4, ddn app.dint, dt app.dtext NOT NULL DEFAULT 'q', lt ltree NOT NULL DEFAULT 'a.b', cc "char" NOT NULL DEFAULT 'z', hs hstore NOT NULL DEFAULT 'a=>1');
INSERT INTO app.defaults (id) VALUES (1);
INSERT INTO app.defaults (id, i_lit, b, f4, n102, n, tx, u2, jbn, en, b1n, chn, ivn, t3, tsn, un, dcn, i_fn, i_seq) VALUES (2, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);

CREATE TABLE app.mandatory (id serial PRIMARY KEY, tx text NOT NULL, i4 int NOT NULL, n102 numeric(10,2) NOT NULL, n numeric NOT NULL, b bool NOT NULL, ts timestamp NOT NULL, tz timestamptz NOT NULL, d date NOT NULL,
    ti time NOT NULL, ttz timetz NOT NULL, u uuid NOT NULL, jb jsonb NOT NULL, by bytea NOT NULL, f8 float8 NOT NULL, e app.mood NOT NULL, arr int[] NOT NULL, iv interval NOT NULL, b5 bit(5) NOT NULL, b1 bit(1) NOT NULL,
    ip inet NOT NULL, m money NOT NULL, x xml NOT NULL, i2 int2 NOT NULL, i8 int8 NOT NULL, r int4range NOT NULL, f4 float4 NOT NULL, ts3 timestamp(3) NOT NULL, ch char(3) NOT NULL, t3 time(3) NOT NULL,
    vb varbit(7) NOT NULL, o oid NOT NULL, pt point NOT NULL, tz0 timestamptz(0) NOT NULL, optional text);
INSERT INTO app.mandatory VALUES (1, 'x', 1, 1.5, 1.5, true, '2020-01-01', '2020-01-01', '2020-01-01', '10:00', '10:00+01', '11111111-2222-3333-4444-555555555555', '{}', '\x01', 1, 'ok', '{1,NULL,3}', '1 day', B'10101', B'1', '1.1.1.1', 5,
    '<a/>', 1, 1, '[1,2)', 1, '2020-01-01', 'c', '10:00', B'1', 1, '(1,2)', '2020-01-01 00:00+00', 'o');
CREATE TABLE app.mandatory_full (LIKE app.mandatory INCLUDING ALL);
ALTER TABLE app.mandatory_full REPLICA IDENTITY FULL;
INSERT INTO app.mandatory_full SELECT * FROM app.mandatory;

CREATE TABLE app.identity_nothing (id int PRIMARY KEY, v text);
ALTER TABLE app.identity_nothing REPLICA IDENTITY NOTHING;
INSERT INTO app.identity_nothing VALUES (1, 'a');
CREATE TABLE app.identity_index (id int NOT NULL, k2 text NOT NULL, k1 int NOT NULL, v text NOT NULL);
CREATE UNIQUE INDEX identity_index_k ON app.identity_index (k1, k2);
ALTER TABLE app.identity_index REPLICA IDENTITY USING INDEX identity_index_k;
INSERT INTO app.identity_index VALUES (1, 'k', 2, 'v');
CREATE TABLE app.identity_index_beside_key (id int PRIMARY KEY, k int NOT NULL, v text NOT NULL);
CREATE UNIQUE INDEX identity_index_beside_key_k ON app.identity_index_beside_key (k);
ALTER TABLE app.identity_index_beside_key REPLICA IDENTITY USING INDEX identity_index_beside_key_k;
INSERT INTO app.identity_index_beside_key VALUES (1, 2, 'v');
CREATE TABLE app.keyless (v text, n int);
INSERT INTO app.keyless VALUES ('a', 1);
CREATE TABLE app.keyless_full (v text, n int);
ALTER TABLE app.keyless_full REPLICA IDENTITY FULL;
INSERT INTO app.keyless_full VALUES ('a', 1);
CREATE TABLE app.keyless_unique (a int NOT NULL, b text NOT NULL, c int NOT NULL, v text);
CREATE UNIQUE INDEX keyless_unique_z ON app.keyless_unique (a);
CREATE UNIQUE INDEX keyless_unique_a ON app.keyless_unique (c, b);
ALTER TABLE app.keyless_unique REPLICA IDENTITY FULL;
INSERT INTO app.keyless_unique VALUES (1, 'b', 3, 'v');
CREATE TABLE app.keyless_nullable (a int UNIQUE, v text);
ALTER TABLE app.keyless_nullable REPLICA IDENTITY FULL;
INSERT INTO app.keyless_nullable VALUES (1, 'v');
CREATE TABLE app.composite (a int, b text, c uuid, d int, v text, PRIMARY KEY (c, a) INCLUDE (d));
INSERT INTO app.composite VALUES (1, 'b', '11111111-2222-3333-4444-555555555555', 4, 'v'), (1, 'b', '01111111-2222-3333-4444-555555555555', 4, 'v');
CREATE TABLE app.wide_key (a text, b numeric(10,2), c bytea, d date, e timestamptz, f bool, g float8, h app.mood, i numeric, j int8, k int2, l timestamp(3), m char(3), n "char", o time, PRIMARY KEY (a, b, c, d, e, f, g, h, i, j, k, l, m, n, o));
INSERT INTO app.wide_key VALUES ('a"b\c,{} é', 1.50, '\x01ff', '2020-01-01', '2020-01-01 10:00+00', true, 1.5, 'ok', 1.50, 5, 3, '2020-01-01 10:00:00.5', 'c', 'z', '10:00:00.5');
CREATE TABLE app."my-table é" (id int PRIMARY KEY, "a b" int, "1st" text, "ünï" int, "x.y" int, "Foo" int, "$v" int);
INSERT INTO app."my-table é" VALUES (1, 2, 'x', 3, 4, 5, 6);
CREATE TABLE app."Tab.dot" (id int PRIMARY KEY);
INSERT INTO app."Tab.dot" VALUES (1);
CREATE TABLE app.toast (id int PRIMARY KEY, big text NOT NULL, big2 text, bb bytea, vc varchar, jb jsonb, j json, x xml, tx text[], i4 int[], i8 bigint[], by bytea[], u uuid[], d date[], n numeric, f8 float8[], i2 smallint[], vb varbit, v int);
ALTER TABLE app.toast ALTER big SET STORAGE EXTERNAL, ALTER big2 SET STORAGE EXTERNAL, ALTER bb SET STORAGE EXTERNAL, ALTER vc SET STORAGE EXTERNAL, ALTER jb SET STORAGE EXTERNAL, ALTER j SET STORAGE EXTERNAL,
    ALTER x SET STORAGE EXTERNAL, ALTER tx SET STORAGE EXTERNAL, ALTER i4 SET STORAGE EXTERNAL, ALTER i8 SET STORAGE EXTERNAL, ALTER by SET STORAGE EXTERNAL, ALTER u SET STORAGE EXTERNAL, ALTER d SET STORAGE EXTERNAL,
    ALTER n SET STORAGE EXTERNAL, ALTER f8 SET STORAGE EXTERNAL, ALTER i2 SET STORAGE EXTERNAL, ALTER vb SET STORAGE EXTERNAL;
INSERT INTO app.toast SELECT 1, repeat('x', 9000), repeat('y', 9000), decode(repeat('00ff', 4000), 'hex'), repeat('z', 9000), jsonb_build_object('a', repeat('j', 9000)), json_build_object('a', repeat('j', 9000)),
    ('<a>' || repeat('x', 9000) || '</a>')::xml, array[repeat('z', 9000)], array(SELECT generate_series(1, 3000)), array(SELECT generate_series(1, 3000)), array[decode(repeat('00ff', 4000), 'hex')],
    array(SELECT '11111111-2222-3333-4444-555555555555'::uuid FROM generate_series(1, 500)), array(SELECT date '2020-01-01' FROM generate_series(1, 3000)), repeat('9', 9000)::numeric,
    array(SELECT generate_series(1, 3000)::float8), array(SELECT 1::int2 FROM generate_series(1, 3000)), repeat('1', 50000)::varbit, 0;
CREATE TABLE app.empty (id int PRIMARY KEY);
CREATE TABLE app.parts (id int, at date NOT NULL, v text, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
CREATE TABLE app.parts_old PARTITION OF app.parts FOR VALUES FROM (MINVALUE) TO ('2020-01-01');
CREATE TABLE app.parts_new (v text, at date NOT NULL, id int NOT NULL, PRIMARY KEY (id, at));
ALTER TABLE app.parts ATTACH PARTITION app.parts_new FOR VALUES FROM ('2020-01-01') TO (MAXVALUE);
INSERT INTO app.parts VALUES (1, '2019-01-01', 'a'), (2, '2021-01-01', 'b');
CREATE TABLE app.quiet_toast (id int PRIMARY KEY, big text, v int);
ALTER TABLE app.quiet_toast ALTER big SET STORAGE EXTERNAL;
INSERT INTO app.quiet_toast VALUES (1, repeat('x', 9000), 1), (2, repeat('y', 9000), 1);
CREATE TABLE app.shifting (id int PRIMARY KEY, v text, dropped int);
INSERT INTO app.shifting VALUES (1, 'a', 1), (2, 'b', 2), (3, 'c', 3);
CREATE TABLE app.zz_marker (id int PRIMARY KEY);
INSERT INTO app.zz_marker VALUES (0);
