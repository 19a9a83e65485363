-- ksql.functions.collect_list.limit and collect_set.limit: so many elements, the first that came.
--file finds.json
--| {"SITE":"a","WHAT":"coin"}
--| {"SITE":"a","WHAT":"nail"}
--| {"SITE":"b","WHAT":"coin"}
--| {"SITE":"a","WHAT":"coin"}
--| {"SITE":"a","WHAT":"ring"}
CREATE STREAM FINDS (SITE VARCHAR, WHAT VARCHAR) WITH (KAFKA_TOPIC='finds', VALUE_FORMAT='JSON');
SET 'ksql.functions.collect_list.limit' = '2';
CREATE TABLE LISTED AS SELECT SITE, COLLECT_LIST(WHAT) AS L, ARRAY_LENGTH(COLLECT_LIST(WHAT)) AS N, COLLECT_SET(WHAT) AS S, COUNT(*) AS ALL_OF_THEM
    FROM FINDS GROUP BY SITE HAVING ARRAY_LENGTH(COLLECT_LIST(WHAT)) <= 2;
SET 'ksql.functions.collect_set.limit' = '1';
CREATE TABLE SETS AS SELECT SITE, COLLECT_SET(WHAT) AS S, COLLECT_LIST(WHAT) AS L FROM FINDS WINDOW TUMBLING (SIZE 36500 DAYS) GROUP BY SITE;
SELECT SITE, COLLECT_LIST(WHAT) AS L FROM FINDS GROUP BY SITE ORDER BY SITE;
UNSET 'ksql.functions.collect_list.limit';
UNSET 'ksql.functions.collect_set.limit';
CREATE TABLE FREE AS SELECT SITE, COLLECT_LIST(WHAT) AS L, COLLECT_SET(WHAT) AS S FROM FINDS GROUP BY SITE;
SELECT * FROM LISTED ORDER BY SITE;
SELECT SITE, S, L FROM SETS ORDER BY SITE;
SELECT * FROM FREE ORDER BY SITE;
SET 'ksql.functions.collect_list.limit' = '0';
SET 'ksql.functions.collect_set.limit' = 'many';
