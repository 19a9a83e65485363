-- auto.offset.reset = latest: a file that is there already is not read.
--file s.csv
--| 1
--| 2
CREATE STREAM S (ID INT) WITH (KAFKA_TOPIC='s', VALUE_FORMAT='DELIMITED');
SET 'auto.offset.reset' = 'latest';
CREATE TABLE LATE AS SELECT 1 AS ONE, COUNT(*) AS N FROM S GROUP BY 1;
SET 'auto.offset.reset' = 'earliest';
CREATE TABLE EARLY AS SELECT 1 AS ONE, COUNT(*) AS N FROM S GROUP BY 1;
SELECT * FROM LATE;
SELECT * FROM EARLY;
