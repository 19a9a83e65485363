-- Nexmark q1. Currency conversion: every bid's price in euros.

SET 'auto.offset.reset' = 'earliest';

CREATE STREAM BID (auction BIGINT, bidder BIGINT, price BIGINT, channel VARCHAR, url VARCHAR,
                   date_time TIMESTAMP, extra VARCHAR)
    WITH (KAFKA_TOPIC='nexmark_bid', VALUE_FORMAT='JSON', TIMESTAMP='date_time');

CREATE STREAM Q1 AS
    SELECT auction, bidder, CAST(0.908 AS DOUBLE) * price AS price, date_time, extra
      FROM BID
    EMIT CHANGES;
