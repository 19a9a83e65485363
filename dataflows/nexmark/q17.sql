-- Nexmark q17. Auction statistics of each day: bids by rank of price, the least, greatest, mean and total price.

SET 'auto.offset.reset' = 'earliest';

CREATE STREAM BID (auction BIGINT, bidder BIGINT, price BIGINT, channel VARCHAR, url VARCHAR,
                   date_time TIMESTAMP, extra VARCHAR)
    WITH (KAFKA_TOPIC='nexmark_bid', VALUE_FORMAT='JSON', TIMESTAMP='date_time');

CREATE TABLE Q17
    WITH (KEY_FORMAT='JSON') AS
    SELECT auction, FORMAT_TIMESTAMP(date_time, 'yyyy-MM-dd') AS day,
           COUNT(*) AS total_bids,
           SUM(CASE WHEN price < 10000 THEN 1 ELSE 0 END) AS rank1_bids,
           SUM(CASE WHEN price >= 10000 AND price < 1000000 THEN 1 ELSE 0 END) AS rank2_bids,
           SUM(CASE WHEN price >= 1000000 THEN 1 ELSE 0 END) AS rank3_bids,
           MIN(price) AS min_price, MAX(price) AS max_price, AVG(price) AS avg_price, SUM(price) AS sum_price
      FROM BID
    GROUP BY auction, FORMAT_TIMESTAMP(date_time, 'yyyy-MM-dd')
    EMIT CHANGES;
