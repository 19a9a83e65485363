-- Nexmark q18. The last bid of everybody for each auction.

SET 'auto.offset.reset' = 'earliest';

CREATE STREAM BID (auction BIGINT, bidder BIGINT, price BIGINT, channel VARCHAR, url VARCHAR,
                   date_time TIMESTAMP, extra VARCHAR)
    WITH (KAFKA_TOPIC='nexmark_bid', VALUE_FORMAT='JSON', TIMESTAMP='date_time');

CREATE TABLE Q18
    WITH (KEY_FORMAT='JSON') AS
    SELECT bidder, auction, LATEST_BY_OFFSET(price) AS price, LATEST_BY_OFFSET(channel) AS channel,
           LATEST_BY_OFFSET(url) AS url, LATEST_BY_OFFSET(date_time) AS date_time,
           LATEST_BY_OFFSET(extra) AS extra
      FROM BID
    GROUP BY bidder, auction
    EMIT CHANGES;
