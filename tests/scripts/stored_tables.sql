-- Tables that are stored where their topics have a place: fewer columns than their input has, and windows.
--file wide.csv
--| a,1,10,100,1000
--| b,2,20,200,2000
--| a,3,30,300,12000
--toml [topics.narrow]
--toml connector = "log"
--toml [topics.windowed]
--toml connector = "log"
CREATE STREAM WIDE (K VARCHAR, A INT, B INT, C INT, AT BIGINT)
    WITH (KAFKA_TOPIC='wide', VALUE_FORMAT='DELIMITED', TIMESTAMP='AT');
CREATE TABLE NARROW WITH (KAFKA_TOPIC='narrow', VALUE_FORMAT='JSON') AS SELECT K, SUM(C) AS N FROM WIDE GROUP BY K;
CREATE TABLE WINDOWED WITH (KAFKA_TOPIC='windowed', VALUE_FORMAT='JSON') AS SELECT K, COUNT(*) AS N FROM WIDE WINDOW TUMBLING (SIZE 10 SECONDS) GROUP BY K;
SELECT * FROM NARROW;
SELECT * FROM WINDOWED;
SELECT QUERY_ID, STAGE, ROWS_OUT > 0 AS STORED FROM WHARFE_BOOKS WHERE STAGE = 'store';
