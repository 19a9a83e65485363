-- Nexmark q8. Monitor new users: who has opened an auction within the ten seconds in which they came.
-- Two windowed tables with the same windows, joined by key and window.

SET 'auto.offset.reset' = 'earliest';

CREATE STREAM PERSON (id BIGINT, name VARCHAR, email_address VARCHAR, credit_card VARCHAR,
                      city VARCHAR, state VARCHAR, date_time TIMESTAMP, extra VARCHAR)
    WITH (KAFKA_TOPIC='nexmark_person', VALUE_FORMAT='JSON', TIMESTAMP='date_time');

CREATE STREAM AUCTION (id BIGINT, item_name VARCHAR, description VARCHAR, initial_bid BIGINT,
                       reserve BIGINT, expires TIMESTAMP, seller BIGINT, category BIGINT,
                       date_time TIMESTAMP, extra VARCHAR)
    WITH (KAFKA_TOPIC='nexmark_auction', VALUE_FORMAT='JSON', TIMESTAMP='date_time');

CREATE TABLE NEW_PERSON AS
    SELECT id, LATEST_BY_OFFSET(name) AS name
      FROM PERSON
    WINDOW TUMBLING (SIZE 10 SECONDS)
    GROUP BY id
    EMIT CHANGES;

CREATE TABLE SELLER AS
    SELECT seller, COUNT(*) AS auctions
      FROM AUCTION
    WINDOW TUMBLING (SIZE 10 SECONDS)
    GROUP BY seller
    EMIT CHANGES;

CREATE TABLE Q8
    WITH (KEY_FORMAT='JSON') AS
    SELECT P.id AS id, P.WINDOWSTART AS starttime, P.WINDOWEND AS endtime, P.name AS name
      FROM NEW_PERSON P
      JOIN SELLER S ON P.id = S.seller AND P.WINDOWSTART = S.WINDOWSTART AND P.WINDOWEND = S.WINDOWEND
    EMIT CHANGES;
