-- Unquoted names are upper-cased, quoted ones keep their case; many keywords are plain names.
CREATE STREAM Names (date VARCHAR, "Time" VARCHAR, `d2lm:x` INT, source VARCHAR, key INT, type INT) WITH (kafka_topic='names', value_format='json');
INSERT INTO NAMES (DATE, "Time", `d2lm:x`, Source, Key, Type) VALUES ('d', 't', 1, 's', 2, 3);
SELECT * FROM names;
SELECT date, "Time", "d2lm:x" AS `out`, N.source FROM Names AS N;
SELECT time FROM names;
SELECT DATE AS A, A FROM names;
SELECT O.DATE FROM names N;
SELECT names.* FROM names;
SELECT O.* FROM names;
CREATE STREAM SELECT (X INT) WITH (KAFKA_TOPIC='x', VALUE_FORMAT='JSON');
CREATE STREAM `select` (X INT) WITH (KAFKA_TOPIC='x', VALUE_FORMAT='JSON');
SHOW STREAMS;
-- A name with a hyphen is none without its quotes.
CREATE STREAM HYPHENS (`my-col` INT, N INT) WITH (KAFKA_TOPIC='hyphens', VALUE_FORMAT='JSON');
SELECT my-col FROM HYPHENS;
SELECT N FROM HYPHENS WHERE MY-COL = 1;
SELECT N - 1 AS M FROM my-stream;
CREATE STREAM W (my-col INT) WITH (KAFKA_TOPIC='w', VALUE_FORMAT='JSON');
