-- Nexmark q5. Hot items: the auctions with the most bids in the last ten seconds, every two seconds.
-- A count per auction and window, told when the window has closed; the most per window from that table, and the
-- two joined. With EMIT CHANGES each change of a window's greatest count would have all its rows looked at again.

SET 'auto.offset.reset' = 'earliest';
SET 'close.windows.at.end' = 'true';

CREATE STREAM BID (auction BIGINT, bidder BIGINT, price BIGINT, channel VARCHAR, url VARCHAR,
                   date_time TIMESTAMP, extra VARCHAR)
    WITH (KAFKA_TOPIC='nexmark_bid', VALUE_FORMAT='JSON', TIMESTAMP='date_time');

CREATE TABLE AUCTION_BIDS AS
    SELECT auction, COUNT(*) AS num
      FROM BID
    WINDOW HOPPING (SIZE 10 SECONDS, ADVANCE BY 2 SECONDS)
    GROUP BY auction
    EMIT FINAL;

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
