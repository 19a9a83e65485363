-- Nexmark q3. Local item suggestion: who sells in category 10, from three states.
-- Two tables, joined by a foreign key: an auction names its seller.

SET 'auto.offset.reset' = 'earliest';

CREATE TABLE AUCTION (id BIGINT PRIMARY KEY, item_name VARCHAR, description VARCHAR, initial_bid BIGINT,
                      reserve BIGINT, expires TIMESTAMP, seller BIGINT, category BIGINT,
                      date_time TIMESTAMP, extra VARCHAR)
    WITH (KAFKA_TOPIC='nexmark_auction', VALUE_FORMAT='JSON', TIMESTAMP='date_time');

CREATE TABLE PERSON (id BIGINT PRIMARY KEY, name VARCHAR, email_address VARCHAR, credit_card VARCHAR,
                     city VARCHAR, state VARCHAR, date_time TIMESTAMP, extra VARCHAR)
    WITH (KAFKA_TOPIC='nexmark_person', VALUE_FORMAT='JSON', TIMESTAMP='date_time');

CREATE TABLE Q3 AS
    SELECT A.id AS id, P.name AS name, P.city AS city, P.state AS state
      FROM AUCTION A JOIN PERSON P ON A.seller = P.id
     WHERE A.category = 10 AND P.state IN ('OR', 'ID', 'CA')
    EMIT CHANGES;
