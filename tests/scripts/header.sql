-- A file whose first line is a header; one without an end of line.
--file h.csv
--| ID,NAME
--| 1,a
--file bare.csv
--| 1
CREATE STREAM H (ID INT, NAME VARCHAR) WITH (KAFKA_TOPIC='with_header', VALUE_FORMAT='DELIMITED');
--toml [topics.with_header]
--toml connector = "file"
--toml path = "h.csv"
--toml header = true
SELECT * FROM H;
CREATE TABLE N AS SELECT 1 AS ONE, COUNT(*) AS N FROM H GROUP BY 1;
SELECT * FROM N;
SELECT STAGE, ROWS_IN, ROWS_OUT, ROWS_REJECTED FROM WHARFE_BOOKS WHERE STAGE = 'decode';
