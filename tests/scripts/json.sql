-- JSON: coercions, missing fields, case of names, values over several lines, what is rejected.
--file j.json
--| {"id": 1, "NAME": "upper", "n": "5"}
--| {
--|   "id": 2,
--|   "name": {"a": [1, "x"]},
--|   "n": 1.9
--| }
--| {"id": 3, "n": ""}
--| {"id": 4, "n": "five"}
--| {"id": 5, "name": "cut
--| {"id": 6, "extra": [1, {"a": null}], "n": null}
--| {"id": 7} {"id": 8}
--| [1, 2]
--| {"id": 9, "name": "dup", "name": "last"}
CREATE STREAM J (`id` INT, NAME VARCHAR, `n` INT) WITH (KAFKA_TOPIC='j', VALUE_FORMAT='JSON');
SELECT * FROM J;
CREATE TABLE N AS SELECT 1 AS ONE, COUNT(*) AS N FROM J GROUP BY 1;
SELECT * FROM N;
SELECT TOPIC_OFFSET, COLUMN_NAME, REASON FROM WHARFE_REJECTS WHERE SOURCE_NAME = 'J' ORDER BY TOPIC_OFFSET;
CREATE STREAM K (`id` INT) WITH (KAFKA_TOPIC='j', VALUE_FORMAT='JSON');
CREATE TABLE C AS SELECT 1 AS ONE, COUNT(*) AS N FROM K GROUP BY 1;
SELECT * FROM C;
SELECT SOURCE_NAME, ROWS_IN, ROWS_OUT, ROWS_FILTERED, ROWS_REJECTED FROM WHARFE_BOOKS WHERE STAGE = 'decode' ORDER BY SOURCE_NAME;
