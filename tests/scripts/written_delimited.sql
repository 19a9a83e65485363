-- DELIMITED as it is written: quotes where a reader would stumble, and the delimiter of a sink.
--file notes.json
--| {"A": "plain", "B": "2nd", "N": 1}
--| {"A": "-5", "B": "-5", "N": -5}
--| {"A": "_x", "B": "_x", "N": 2}
--| {"A": " lead", "B": " lead", "N": 3}
--| {"A": "#no comment", "B": "#no", "N": 4}
--| {"A": "trail ", "B": "trail ", "N": 5}
--| {"A": "say \"hi\"", "B": "a,b", "N": 6}
--| {"A": "two\nlines", "B": "é", "N": 7}
--| {"A": "é first", "B": "!", "N": 8}
--| {"A": "", "B": "", "N": 9}
--| {"A": null, "B": null, "N": null}
--toml [topics.comma]
--toml connector = "log"
--toml [topics.tabs]
--toml connector = "log"
--toml [topics.pipes]
--toml connector = "log"
--toml [topics.numbers]
--toml connector = "log"
CREATE STREAM NOTES (A VARCHAR, B VARCHAR, N INT) WITH (KAFKA_TOPIC='notes', VALUE_FORMAT='JSON');
CREATE STREAM COMMA WITH (KAFKA_TOPIC='comma', VALUE_FORMAT='DELIMITED') AS SELECT A, B, N FROM NOTES;
CREATE STREAM TABS WITH (KAFKA_TOPIC='tabs', VALUE_FORMAT='DELIMITED', VALUE_DELIMITER='tab') AS SELECT A, B FROM NOTES WHERE N < 4;
-- The delimiter goes with the format that is inherited, and may be another one.
CREATE STREAM STILL_TABS AS SELECT * FROM TABS;
CREATE STREAM PIPES WITH (KAFKA_TOPIC='pipes', VALUE_DELIMITER='|') AS SELECT * FROM TABS;
CREATE STREAM NUMBERS WITH (KAFKA_TOPIC='numbers', VALUE_FORMAT='DELIMITED') AS SELECT N, N / 2 AS HALF FROM NOTES WHERE N < 4;
CREATE STREAM C (V VARCHAR) WITH (KAFKA_TOPIC='comma', VALUE_FORMAT='KAFKA');
CREATE STREAM T (V VARCHAR) WITH (KAFKA_TOPIC='tabs', VALUE_FORMAT='KAFKA');
CREATE STREAM P (V VARCHAR) WITH (KAFKA_TOPIC='pipes', VALUE_FORMAT='KAFKA');
CREATE STREAM R (V VARCHAR) WITH (KAFKA_TOPIC='numbers', VALUE_FORMAT='KAFKA');
SELECT * FROM C;
SELECT * FROM T;
SELECT * FROM P;
SELECT * FROM R;
-- What is written reads back.
CREATE STREAM BACK (A VARCHAR, B VARCHAR, N INT) WITH (KAFKA_TOPIC='comma', VALUE_FORMAT='DELIMITED');
SELECT * FROM BACK;
CREATE STREAM WRONG WITH (VALUE_DELIMITER='|') AS SELECT * FROM NOTES;
CREATE STREAM WRONG (A INT) WITH (KAFKA_TOPIC='notes', VALUE_FORMAT='JSON', VALUE_DELIMITER='|');
CREATE STREAM WRONG (A INT) WITH (KAFKA_TOPIC='notes', FORMAT='AVRO', VALUE_PROTOBUF_NULLABLE_REPRESENTATION='OPTIONAL', KEY_DELIMITER='|');
