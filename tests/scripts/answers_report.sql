-- An answer that reads a topic that nothing maintained reads says what was wrong with its rows; what a
-- maintained query reads is told once.
--file r.csv
--| 1,10
--| x,20
--| 4,0
--file m.csv
--| y
CREATE STREAM R (ID INT, N INT) WITH (KAFKA_TOPIC='r', VALUE_FORMAT='DELIMITED');
CREATE STREAM M (ID INT) WITH (KAFKA_TOPIC='m', VALUE_FORMAT='DELIMITED');
CREATE TABLE T AS SELECT ID, COUNT(*) AS N FROM M GROUP BY ID;
SELECT ID, 100 / N AS PART FROM R;
SELECT * FROM M;
SELECT KIND, SOURCE_NAME, TOPIC, TOPIC_PARTITION, TOPIC_OFFSET, SUBSTRING(STAGE, 1, 22) AS STAGE, COLUMN_NAME, REASON FROM WHARFE_REJECTS ORDER BY KIND, TOPIC;
