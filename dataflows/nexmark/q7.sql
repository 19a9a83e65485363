-- Nexmark q7. Highest bid of every ten seconds.
-- The greatest price with its bid, in one group a window; of equal ones the greatest auction's.

SET 'auto.offset.reset' = 'earliest';

CREATE STREAM BID (auction BIGINT, bidder BIGINT, price BIGINT, channel VARCHAR, url VARCHAR,
                   date_time TIMESTAMP, extra VARCHAR)
    WITH (KAFKA_TOPIC='nexmark_bid', VALUE_FORMAT='JSON', TIMESTAMP='date_time');

CREATE TABLE Q7 AS
    SELECT 'all' AS bids,
           TOPK(price, auction, bidder, date_time, extra, 1)[1]->`sort_col` AS price,
           TOPK(price, auction, bidder, date_time, extra, 1)[1]->`col0` AS auction,
           TOPK(price, auction, bidder, date_time, extra, 1)[1]->`col1` AS bidder,
           TOPK(price, auction, bidder, date_time, extra, 1)[1]->`col2` AS date_time,
           TOPK(price, auction, bidder, date_time, extra, 1)[1]->`col3` AS extra
      FROM BID
    WINDOW TUMBLING (SIZE 10 SECONDS)
    GROUP BY 'all'
    EMIT CHANGES;
