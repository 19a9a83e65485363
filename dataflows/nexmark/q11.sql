-- Nexmark q11. User sessions: how many bids everybody makes until a pause of ten seconds.

SET 'auto.offset.reset' = 'earliest';

CREATE STREAM BID (auction BIGINT, bidder BIGINT, price BIGINT, channel VARCHAR, url VARCHAR,
                   date_time TIMESTAMP, extra VARCHAR)
    WITH (KAFKA_TOPIC='nexmark_bid', VALUE_FORMAT='JSON', TIMESTAMP='date_time');

CREATE TABLE Q11 AS
    SELECT bidder, COUNT(*) AS bid_count
      FROM BID
    WINDOW SESSION (10 SECONDS)
    GROUP BY bidder
    EMIT CHANGES;
