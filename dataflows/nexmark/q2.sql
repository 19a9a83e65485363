-- Nexmark q2. Selection: the bids for some auctions.

SET 'auto.offset.reset' = 'earliest';

CREATE STREAM BID (auction BIGINT, bidder BIGINT, price BIGINT, channel VARCHAR, url VARCHAR,
                   date_time TIMESTAMP, extra VARCHAR)
    WITH (KAFKA_TOPIC='nexmark_bid', VALUE_FORMAT='JSON', TIMESTAMP='date_time');

CREATE STREAM Q2 AS
    SELECT auction, price
      FROM BID
     WHERE auction % 123 = 0
    EMIT CHANGES;
