-- Maps are equal whatever the order of their entries, wherever they stand.
--file tags.json
--| {"K": 1, "M": {"a": 1, "b": 2}, "L": [{"x": 1, "y": null}], "S": {"M": {"p": true, "q": false}}}
--| {"K": 1, "M": {"b": 2, "a": 1}, "L": [{"y": null, "x": 1}], "S": {"M": {"q": false, "p": true}}}
--| {"K": 1, "M": {"b": 1, "a": 2}, "L": [{"x": 1}], "S": {"M": {"p": true}}}
CREATE STREAM TAGS (K INT, M MAP<VARCHAR, INT>, L ARRAY<MAP<VARCHAR, INT>>, S STRUCT<M MAP<VARCHAR, BOOLEAN>>) WITH (KAFKA_TOPIC='tags', VALUE_FORMAT='JSON');
CREATE TABLE DISTINCT_TAGS AS SELECT K, COUNT_DISTINCT(M) AS M, COUNT_DISTINCT(L) AS L, COUNT_DISTINCT(S) AS S, COLLECT_SET(M) AS ALL_M FROM TAGS GROUP BY K;
SELECT * FROM DISTINCT_TAGS;
SELECT M, COUNT(*) AS N FROM TAGS GROUP BY M;
SELECT COUNT(*) AS N FROM TAGS WHERE M = MAP('b' := 2, 'a' := 1);
