-- Nexmark q0. Pass through: every bid as it is.

SET 'auto.offset.reset' = 'earliest';

CREATE STREAM BID (auction BIGINT, bidder BIGINT, price BIGINT, channel VARCHAR, url VARCHAR,
                   date_time TIMESTAMP, extra VARCHAR)
    WITH (KAFKA_TOPIC='nexmark_bid', VALUE_FORMAT='JSON', TIMESTAMP='date_time');

CREATE STREAM Q0 AS
    SELECT auction, bidder, price, date_time, extra
      FROM BID
    EMIT CHANGES;
