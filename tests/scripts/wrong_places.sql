-- Topics that cannot be where the topology has them.
--toml [topics.nowhere]
--toml connector = "file"
--toml path = "missing.csv"
--toml [topics.endless]
--toml connector = "generator"
--toml feed = "carparks"
--file s.csv
--| 1
CREATE STREAM S (ID INT) WITH (KAFKA_TOPIC='s', VALUE_FORMAT='DELIMITED');
CREATE STREAM MADE (DATE VARCHAR, TIME VARCHAR, NAME VARCHAR, CAPACITY INT, EMPTY_PLACES INT, STATUS VARCHAR, LAT DOUBLE, LON DOUBLE, URL VARCHAR)
    WITH (KAFKA_TOPIC='endless', VALUE_FORMAT='DELIMITED');
INSERT INTO S VALUES (1);
CREATE STREAM D WITH (KAFKA_TOPIC='s') AS SELECT * FROM S;
SELECT * FROM MADE LIMIT 3;
CREATE STREAM N (ID INT) WITH (KAFKA_TOPIC='nowhere', VALUE_FORMAT='DELIMITED');
SELECT * FROM N;
CREATE STREAM BAD (ID INT) WITH (KAFKA_TOPIC='no/slash', VALUE_FORMAT='DELIMITED');
INSERT INTO BAD VALUES (1);
