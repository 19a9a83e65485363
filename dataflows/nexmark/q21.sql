-- Nexmark q21. Channel numbers: the known channels' by name, the others' out of their URLs.

SET 'auto.offset.reset' = 'earliest';

CREATE STREAM BID (auction BIGINT, bidder BIGINT, price BIGINT, channel VARCHAR, url VARCHAR,
                   date_time TIMESTAMP, extra VARCHAR)
    WITH (KAFKA_TOPIC='nexmark_bid', VALUE_FORMAT='JSON', TIMESTAMP='date_time');

CREATE STREAM Q21 AS
    SELECT auction, bidder, price, channel,
           CASE WHEN LCASE(channel) = 'apple' THEN '0'
                WHEN LCASE(channel) = 'google' THEN '1'
                WHEN LCASE(channel) = 'facebook' THEN '2'
                WHEN LCASE(channel) = 'baidu' THEN '3'
                ELSE REGEXP_EXTRACT('(&|^)channel_id=([^&]*)', url, 2) END AS channel_id
      FROM BID
     WHERE REGEXP_EXTRACT('(&|^)channel_id=([^&]*)', url, 2) IS NOT NULL
        OR LCASE(channel) IN ('apple', 'google', 'facebook', 'baidu')
    EMIT CHANGES;
