-- Nexmark q20. Expand bids with their auctions, of one category.
-- Two streams, since some bids come a moment before their auction does.

SET 'auto.offset.reset' = 'earliest';

CREATE STREAM BID (auction BIGINT, bidder BIGINT, price BIGINT, channel VARCHAR, url VARCHAR,
                   date_time TIMESTAMP, extra VARCHAR)
    WITH (KAFKA_TOPIC='nexmark_bid', VALUE_FORMAT='JSON', TIMESTAMP='date_time');

CREATE STREAM AUCTION (id BIGINT, item_name VARCHAR, description VARCHAR, initial_bid BIGINT,
                       reserve BIGINT, expires TIMESTAMP, seller BIGINT, category BIGINT,
                       date_time TIMESTAMP, extra VARCHAR)
    WITH (KAFKA_TOPIC='nexmark_auction', VALUE_FORMAT='JSON', TIMESTAMP='date_time');

CREATE STREAM Q20 AS
    SELECT B.auction AS auction, B.bidder AS bidder, B.price AS price, B.channel AS channel, B.url AS url,
           B.date_time AS bid_date_time, B.extra AS bid_extra,
           A.item_name AS item_name, A.description AS description, A.initial_bid AS initial_bid,
           A.reserve AS reserve, A.date_time AS auction_date_time, A.expires AS expires, A.seller AS seller,
           A.category AS category, A.extra AS auction_extra
      FROM BID B JOIN AUCTION A
    WITHIN (1 DAY, 1 MINUTE) GRACE PERIOD 0 SECONDS
        ON B.auction = A.id
     WHERE A.category = 10
    EMIT CHANGES;
