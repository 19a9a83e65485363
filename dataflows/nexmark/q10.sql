-- Nexmark q10. Log to the file system: every bid with its day and minute, in a stored topic.

SET 'auto.offset.reset' = 'earliest';

CREATE STREAM BID (auction BIGINT, bidder BIGINT, price BIGINT, channel VARCHAR, url VARCHAR,
                   date_time TIMESTAMP, extra VARCHAR)
    WITH (KAFKA_TOPIC='nexmark_bid', VALUE_FORMAT='JSON', TIMESTAMP='date_time');

CREATE STREAM Q10
    WITH (KAFKA_TOPIC='nexmark_q10', VALUE_FORMAT='JSON', PARTITIONS=4) AS
    SELECT auction, bidder, price, date_time, extra,
           FORMAT_TIMESTAMP(date_time, 'yyyy-MM-dd') AS day, FORMAT_TIMESTAMP(date_time, 'HH:mm') AS minute
      FROM BID
    PARTITION BY auction
    EMIT CHANGES;
