-- Sums of DOUBLEs are exact whatever their order; NaN and infinities count apart.
--file d.csv
--| a,1e308
--| a,1e308
--| a,-1e308
--| a,-1e308
--| a,1e-300
--| b,0.1
--| b,0.2
--| b,0.3
--| c,NaN
--| c,1
--| d,Infinity
--| d,1
--| e,Infinity
--| e,-Infinity
--| f,-0.0
CREATE STREAM D (K VARCHAR, V DOUBLE) WITH (KAFKA_TOPIC='d', VALUE_FORMAT='DELIMITED');
CREATE TABLE S AS SELECT K, SUM(V) AS SUM, AVG(V) AS AVG, MIN(V) AS LEAST_, MAX(V) AS MOST, COUNT_DISTINCT(V) AS N FROM D GROUP BY K;
SELECT * FROM S;
