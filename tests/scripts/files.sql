-- A directory or a glob is a topic of several files, a partition each in the order of their names.
--file b.csv
--| 3
--| 4
--file a.csv
--| 1
--| 2
--toml [topics.all]
--toml connector = "file"
--toml path = "*.csv"
CREATE STREAM S (ID INT) WITH (KAFKA_TOPIC='all', VALUE_FORMAT='DELIMITED');
CREATE TABLE T AS SELECT ROWPARTITION AS P, COUNT(*) AS N, SUM(ID) AS IDS, MAX(ROWOFFSET) AS LAST FROM S GROUP BY ROWPARTITION;
SELECT * FROM S;
SELECT * FROM T;
