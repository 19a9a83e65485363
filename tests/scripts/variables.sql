-- DEFINE, UNDEFINE and SHOW VARIABLES; what variables stand for is the text's own matter (its parser's tests).
DEFINE topic = 'bays';
DEFINE Level = '3';
SHOW VARIABLES;
DEFINE topic = 'spots';
UNDEFINE level;
UNDEFINE level;
SHOW VARIABLES;
-- Properties: what is honoured, what means nothing, what cannot be said here.
SHOW PROPERTIES;
SET 'ksql.output.topic.name.prefix' = 'out-';
SET 'commit.interval.ms' = '100';
SET 'producer.linger.ms' = '5';
SET 'ksql.variable.substitution.enable' = 'perhaps';
SET 'ksql.schema.registry.url' = 'http://nowhere';
SET 'ksql.fail.on.deserialization.error' = 'true';
SET 'ksql.persistence.wrap.single.value' = 'false';
SET 'ksql.persistence.default.format.key' = 'JSON';
SHOW PROPERTIES;
CREATE STREAM S (K INT KEY, V INT) WITH (KAFKA_TOPIC='s', VALUE_FORMAT='JSON');
CREATE STREAM T AS SELECT * FROM S;
CREATE STREAM NAMED WITH (KAFKA_TOPIC='named') AS SELECT * FROM S;
DESCRIBE STREAMS;
DESCRIBE TABLES EXTENDED;
SET 'ksql.create.or.replace.enabled' = 'false';
CREATE OR REPLACE STREAM T AS SELECT K, V + 1 AS V FROM S;
UNSET 'ksql.create.or.replace.enabled';
CREATE OR REPLACE STREAM T AS SELECT K, V + 1 AS V FROM S;
RUN SCRIPT 'nowhere.sql';
