-- Nexmark q13. Bounded side input: every bid with what a table of a fixed size says about its auction.
-- A stream looks up a table, by a key that is an expression.

SET 'auto.offset.reset' = 'earliest';

CREATE TABLE SIDE_INPUT (id BIGINT PRIMARY KEY, value VARCHAR, date_time TIMESTAMP)
    WITH (KAFKA_TOPIC='nexmark_side_input', VALUE_FORMAT='JSON', TIMESTAMP='date_time');

CREATE STREAM BID (auction BIGINT, bidder BIGINT, price BIGINT, channel VARCHAR, url VARCHAR,
                   date_time TIMESTAMP, extra VARCHAR)
    WITH (KAFKA_TOPIC='nexmark_bid', VALUE_FORMAT='JSON', TIMESTAMP='date_time');

CREATE STREAM Q13 AS
    SELECT S.id AS id, B.auction AS auction, B.bidder AS bidder, B.price AS price, B.date_time AS date_time,
           S.value AS value
      FROM BID B JOIN SIDE_INPUT S ON B.auction % 10000 = S.id
    EMIT CHANGES;
