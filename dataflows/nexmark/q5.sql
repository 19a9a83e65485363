-- Nexmark q5. Hot items: the auctions with the most bids in the last ten seconds, every two seconds.
-- A count per auction and window, the most per window from that table, and the two joined.

SET 'auto.offset.reset' = 'earliest';

CREATE STREAM BID (auction BIGINT, bidder BIGINT, price BIGINT, channel VARCHAR, url VARCHAR,
                   date_time TIMESTAMP, extra VARCHAR)
    WITH (KAFKA_TOPIC='nexmark_bid', VALUE_FORMAT='JSON', TIMESTAMP='date_time');

CREATE TABLE AUCTION_BIDS AS
    SELECT auction, COUNT(*) AS num
      FROM BID
    WINDOW HOPPING (SIZE 10 SECONDS, ADVANCE BY 2 SECONDS)
    GROUP BY auction
    EMIT CHANGES;

CREATE TABLE MOST_BIDS AS
    SELECT WINDOWSTART AS starttime, MAX(num) AS maxn
      FROM AUCTION_BIDS
    GROUP BY WINDOWSTART
    EMIT CHANGES;

CREATE TABLE Q5
    WITH (KEY_FORMAT='JSON') AS
    SELECT B.auction AS auction, B.WINDOWSTART AS starttime, B.WINDOWEND AS endtime, B.num AS num
      FROM AUCTION_BIDS B JOIN MOST_BIDS M ON B.WINDOWSTART = M.starttime
     WHERE B.num >= M.maxn
    EMIT CHANGES;
