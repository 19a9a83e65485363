-- Nexmark q14. Calculation: bids of a range of prices, by the time of day, with how often a letter is in a text.

SET 'auto.offset.reset' = 'earliest';

CREATE STREAM BID (auction BIGINT, bidder BIGINT, price BIGINT, channel VARCHAR, url VARCHAR,
                   date_time TIMESTAMP, extra VARCHAR)
    WITH (KAFKA_TOPIC='nexmark_bid', VALUE_FORMAT='JSON', TIMESTAMP='date_time');

CREATE STREAM Q14 AS
    SELECT auction, bidder, CAST(0.908 AS DOUBLE) * price AS price,
           CASE WHEN CAST(FORMAT_TIMESTAMP(date_time, 'HH') AS INT) BETWEEN 8 AND 18 THEN 'dayTime'
                WHEN CAST(FORMAT_TIMESTAMP(date_time, 'HH') AS INT) <= 6 THEN 'nightTime'
                WHEN CAST(FORMAT_TIMESTAMP(date_time, 'HH') AS INT) >= 20 THEN 'nightTime'
                ELSE 'otherTime' END AS bid_time_type,
           date_time, extra,
           LEN(extra) - LEN(REPLACE(extra, 'c', '')) AS c_counts
      FROM BID
     WHERE CAST(0.908 AS DOUBLE) * price > 1000000 AND CAST(0.908 AS DOUBLE) * price < 50000000
    EMIT CHANGES;
