-- Nexmark q12. Windows of arrival: how many bids everybody makes in ten seconds of the engine's time.
-- The stream has no TIMESTAMP column: a bid's time is its message's.

SET 'auto.offset.reset' = 'earliest';

CREATE STREAM BID (auction BIGINT, bidder BIGINT, price BIGINT, channel VARCHAR, url VARCHAR,
                   date_time TIMESTAMP, extra VARCHAR)
    WITH (KAFKA_TOPIC='nexmark_bid', VALUE_FORMAT='JSON');

CREATE TABLE Q12 AS
    SELECT bidder, COUNT(*) AS bid_count
      FROM BID
    WINDOW TUMBLING (SIZE 10 SECONDS)
    GROUP BY bidder
    EMIT CHANGES;
