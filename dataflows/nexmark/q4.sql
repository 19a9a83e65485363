-- Nexmark q4. Average closing price of a category: the best bid of each auction while it was open, then their mean.
-- Each bid looks its auction up; the table of best bids is grouped once more.

SET 'auto.offset.reset' = 'earliest';

CREATE TABLE AUCTION (id BIGINT PRIMARY KEY, item_name VARCHAR, description VARCHAR, initial_bid BIGINT,
                      reserve BIGINT, expires TIMESTAMP, seller BIGINT, category BIGINT,
                      date_time TIMESTAMP, extra VARCHAR)
    WITH (KAFKA_TOPIC='nexmark_auction', VALUE_FORMAT='JSON', TIMESTAMP='date_time');

CREATE STREAM BID (auction BIGINT, bidder BIGINT, price BIGINT, channel VARCHAR, url VARCHAR,
                   date_time TIMESTAMP, extra VARCHAR)
    WITH (KAFKA_TOPIC='nexmark_bid', VALUE_FORMAT='JSON', TIMESTAMP='date_time');

CREATE TABLE CLOSING_PRICE
    WITH (KEY_FORMAT='JSON') AS
    SELECT A.id AS id, A.category AS category, MAX(B.price) AS final
      FROM BID B JOIN AUCTION A ON B.auction = A.id
     WHERE B.date_time BETWEEN A.date_time AND A.expires
    GROUP BY A.id, A.category
    EMIT CHANGES;

CREATE TABLE Q4 AS
    SELECT category, AVG(final) AS average
      FROM CLOSING_PRICE
    GROUP BY category
    EMIT CHANGES;
