-- Nexmark q19. The ten highest bids of each auction; of equal ones the greatest bidder's first.

SET 'auto.offset.reset' = 'earliest';

CREATE STREAM BID (auction BIGINT, bidder BIGINT, price BIGINT, channel VARCHAR, url VARCHAR,
                   date_time TIMESTAMP, extra VARCHAR)
    WITH (KAFKA_TOPIC='nexmark_bid', VALUE_FORMAT='JSON', TIMESTAMP='date_time');

CREATE TABLE Q19 AS
    SELECT auction, TOPK(price, bidder, channel, url, date_time, extra, 10) AS bids
      FROM BID
    GROUP BY auction
    EMIT CHANGES;
