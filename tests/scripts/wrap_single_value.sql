-- A single column in JSON: an object, or the bare value.
--file bare.json
--| 5
--| "7"
--| null
--| {"V": 1}
--file wrapped.json
--| {"V": 5}
--| 7
CREATE STREAM BARE (V INT) WITH (KAFKA_TOPIC='bare', VALUE_FORMAT='JSON', WRAP_SINGLE_VALUE=FALSE);
CREATE STREAM WRAPPED (V INT) WITH (KAFKA_TOPIC='wrapped', VALUE_FORMAT='JSON');
CREATE STREAM OUT_BARE WITH (KAFKA_TOPIC='out_bare', VALUE_FORMAT='JSON', WRAP_SINGLE_VALUE=FALSE) AS SELECT V FROM WRAPPED;
CREATE STREAM OUT_WRAPPED WITH (KAFKA_TOPIC='out_wrapped', VALUE_FORMAT='JSON') AS SELECT V FROM BARE;
--toml [topics.out_bare]
--toml connector = "log"
--toml [topics.out_wrapped]
--toml connector = "log"
--toml [topics.same_format]
--toml connector = "log"
--toml [topics.inherited]
--toml connector = "log"
--toml [topics.by_session]
--toml connector = "log"
SELECT * FROM BARE;
SELECT * FROM WRAPPED;
CREATE STREAM B (T VARCHAR) WITH (KAFKA_TOPIC='out_bare', VALUE_FORMAT='KAFKA');
CREATE STREAM W (T VARCHAR) WITH (KAFKA_TOPIC='out_wrapped', VALUE_FORMAT='KAFKA');
SELECT * FROM B;
SELECT * FROM W;
CREATE STREAM WRONG (V INT) WITH (KAFKA_TOPIC='bare', VALUE_FORMAT='JSON', WRAP_SINGLE_VALUE='no');
-- The format is inherited, how its source wraps is not; a sink may say it without naming the format.
CREATE STREAM INHERITED WITH (KAFKA_TOPIC='inherited') AS SELECT V FROM BARE;
CREATE STREAM SAME_FORMAT WITH (KAFKA_TOPIC='same_format', WRAP_SINGLE_VALUE=FALSE) AS SELECT V FROM WRAPPED;
CREATE STREAM I (T VARCHAR) WITH (KAFKA_TOPIC='inherited', VALUE_FORMAT='KAFKA');
CREATE STREAM S (T VARCHAR) WITH (KAFKA_TOPIC='same_format', VALUE_FORMAT='KAFKA');
SELECT * FROM I;
SELECT * FROM S;
-- What the session says where a statement says nothing; of several columns it means nothing.
SET 'ksql.persistence.wrap.single.values' = 'false';
CREATE STREAM BY_SESSION WITH (KAFKA_TOPIC='by_session') AS SELECT V FROM WRAPPED;
CREATE STREAM TWO AS SELECT V, V + 1 AS W FROM WRAPPED;
SET 'ksql.persistence.wrap.single.values' = 'perhaps';
CREATE STREAM PERHAPS AS SELECT V FROM WRAPPED;
UNSET 'ksql.persistence.wrap.single.values';
CREATE STREAM Y (T VARCHAR) WITH (KAFKA_TOPIC='by_session', VALUE_FORMAT='KAFKA');
SELECT * FROM Y;
SELECT * FROM TWO;
CREATE STREAM MANY (V INT, W INT) WITH (KAFKA_TOPIC='wrapped', VALUE_FORMAT='JSON', WRAP_SINGLE_VALUE=TRUE);
CREATE STREAM MANY WITH (WRAP_SINGLE_VALUE=FALSE) AS SELECT V, V + 1 AS W FROM WRAPPED;
CREATE STREAM PLAIN (V INT) WITH (KAFKA_TOPIC='wrapped', VALUE_FORMAT='KAFKA', WRAP_SINGLE_VALUE=TRUE);
CREATE STREAM PLAIN (V INT) WITH (KAFKA_TOPIC='wrapped', VALUE_FORMAT='DELIMITED', WRAP_SINGLE_VALUE=TRUE);
CREATE STREAM PLAIN (V INT) WITH (KAFKA_TOPIC='wrapped', VALUE_FORMAT='PROTOBUF', WRAP_SINGLE_VALUE=FALSE);
CREATE STREAM PLAIN (V INT) WITH (KAFKA_TOPIC='wrapped', VALUE_FORMAT='DELIMITED', WRAP_SINGLE_VALUE=FALSE);
