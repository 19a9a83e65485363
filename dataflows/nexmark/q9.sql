-- Nexmark q9. Winning bids: the best bid of each auction while it was open, with all of the auction.
-- Each bid looks its auction up; of equal prices the first wins: the greatest of (price, -time) is its.

SET 'auto.offset.reset' = 'earliest';

CREATE TABLE AUCTION (id BIGINT PRIMARY KEY, item_name VARCHAR, description VARCHAR, initial_bid BIGINT,
                      reserve BIGINT, expires TIMESTAMP, seller BIGINT, category BIGINT,
                      date_time TIMESTAMP, extra VARCHAR)
    WITH (KAFKA_TOPIC='nexmark_auction', VALUE_FORMAT='JSON', TIMESTAMP='date_time');

CREATE STREAM BID (auction BIGINT, bidder BIGINT, price BIGINT, channel VARCHAR, url VARCHAR,
                   date_time TIMESTAMP, extra VARCHAR)
    WITH (KAFKA_TOPIC='nexmark_bid', VALUE_FORMAT='JSON', TIMESTAMP='date_time');

CREATE TABLE Q9 AS
    SELECT A.id AS id,
           LATEST_BY_OFFSET(A.item_name) AS item_name, LATEST_BY_OFFSET(A.description) AS description,
           LATEST_BY_OFFSET(A.initial_bid) AS initial_bid, LATEST_BY_OFFSET(A.reserve) AS reserve,
           LATEST_BY_OFFSET(A.date_time) AS date_time, LATEST_BY_OFFSET(A.expires) AS expires,
           LATEST_BY_OFFSET(A.seller) AS seller, LATEST_BY_OFFSET(A.category) AS category,
           LATEST_BY_OFFSET(A.extra) AS extra,
           TOPK(B.price, -UNIX_TIMESTAMP(B.date_time), B.bidder, B.date_time, B.extra, 1)[1]->`sort_col` AS price,
           TOPK(B.price, -UNIX_TIMESTAMP(B.date_time), B.bidder, B.date_time, B.extra, 1)[1]->`col1` AS bidder,
           TOPK(B.price, -UNIX_TIMESTAMP(B.date_time), B.bidder, B.date_time, B.extra, 1)[1]->`col2` AS bid_date_time,
           TOPK(B.price, -UNIX_TIMESTAMP(B.date_time), B.bidder, B.date_time, B.extra, 1)[1]->`col3` AS bid_extra
      FROM BID B JOIN AUCTION A ON B.auction = A.id
     WHERE B.date_time BETWEEN A.date_time AND A.expires
    GROUP BY A.id
    EMIT CHANGES;
