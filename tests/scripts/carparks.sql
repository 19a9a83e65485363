-- The keyed stream and both maintained tables of the shipped dataflow, on a handful of records.
--file carparks.csv
--| 2020-10-11,22:25,Westgate,116,116,Closed,53.796291,-1.759143,"https://maps.google.com/?daddr=53.796291,-1.759143"
--| 2020-10-11,22:33,Westgate,116,100,Spaces,53.796291,-1.759143,"https://maps.google.com/?daddr=53.796291,-1.759143"
--| 2020-10-06,14:41,Kirkgate Centre,611,539,Spaces,53.795391,-1.755602,"https://maps.google.com/?daddr=53.795391,-1.755602"
--| 2020-10-06,14:41,Broadway,many,539,Spaces,53.795391,-1.755602,""
--file carparks_historic.csv
--| 2018-02-05,09:55,Westgate,116,80,Spaces,53.796291,-1.759143
--| 2018-02-05,10:00,Westgate,116,89,Spaces,53.796291,-1.759143
--| 2018-02-05,10:05,Nowhere,0,0,Spaces,53.7,-1.7
--file carparks_leeds.json
--| {"d2lm:situationRecordCreationTime":"2020-10-20T11:34:02","d2lm:groupOfLocations":{"d2lm:locationContainedInGroup":{"d2lm:pointByCoordinates":
--| {"d2lm:pointCoordinates":{"d2lm:latitude":"53.795147075173155","d2lm:longitude":"-1.544524058364228"}}}},
--|  "d2lm:carParkIdentity":"Trinity Leeds:LEEDSCP0014","d2lm:carParkOccupancy":"93","d2lm:carParkStatus":"enoughSpacesAvailable",
--|  "d2lm:occupiedSpaces":"531","d2lm:totalCapacity":"570"}
--toml [topics.carpark_events_03]
--toml connector = "log"
SET 'auto.offset.reset' = 'earliest';

-- ---- the feeds, as they arrive ----

CREATE STREAM CARPARK_SRC (date          VARCHAR,
                           time          VARCHAR,
                           name          VARCHAR,
                           capacity      INT,
                           empty_places  INT,
                           status        VARCHAR,
                           latitude      DOUBLE,
                           longitude     DOUBLE,
                           directionsURL VARCHAR)
    WITH (KAFKA_TOPIC='carparks', VALUE_FORMAT='DELIMITED');

CREATE STREAM CARPARK_HISTORIC (date         VARCHAR,
                                time         VARCHAR,
                                name         VARCHAR,
                                capacity     INT,
                                empty_places INT,
                                status       VARCHAR,
                                latitude     DOUBLE,
                                longitude    DOUBLE)
    WITH (KAFKA_TOPIC='carparks_historic', VALUE_FORMAT='DELIMITED');

CREATE STREAM CARPARK_LEEDS_SRC01 (
    "d2lm:situationRecordCreationTime" VARCHAR,
    "d2lm:groupOfLocations" STRUCT<
        "d2lm:locationContainedInGroup" STRUCT<
            "d2lm:pointByCoordinates" STRUCT<
                "d2lm:pointCoordinates" STRUCT<
                    "d2lm:latitude"  DOUBLE,
                    "d2lm:longitude" DOUBLE>>>>,
    "d2lm:carParkIdentity"  VARCHAR,
    "d2lm:carParkOccupancy" DOUBLE,
    "d2lm:carParkStatus"    VARCHAR,
    "d2lm:occupiedSpaces"   INT,
    "d2lm:totalCapacity"    INT)
    WITH (KAFKA_TOPIC='carparks_leeds', VALUE_FORMAT='JSON');

-- ---- one stream of events, keyed by car park ----

CREATE STREAM CARPARK_EVENTS
    WITH (VALUE_FORMAT='PROTOBUF', VALUE_PROTOBUF_NULLABLE_REPRESENTATION='OPTIONAL',
          KAFKA_TOPIC='carpark_events_03', PARTITIONS=6) AS
    SELECT *,
           STRINGTOTIMESTAMP(DATE + ' ' + TIME, 'yyyy-MM-dd HH:mm', 'Europe/London') AS TS,
           (CAST((CAPACITY - EMPTY_PLACES) AS DOUBLE) / CAST(CAPACITY AS DOUBLE)) * 100 AS PCT_FULL,
           STRUCT("lat" := LATITUDE, "lon" := LONGITUDE) AS LOCATION,
           'v2/Council/CarParkCurrent' AS SOURCE
      FROM CARPARK_SRC
    PARTITION BY NAME
    EMIT CHANGES;

INSERT INTO CARPARK_EVENTS
    SELECT *,
           '' AS DIRECTIONSURL,
           STRINGTOTIMESTAMP(DATE + ' ' + TIME, 'yyyy-MM-dd HH:mm', 'Europe/London') AS TS,
           (CAST((CAPACITY - EMPTY_PLACES) AS DOUBLE) / CAST(CAPACITY AS DOUBLE)) * 100 AS PCT_FULL,
           STRUCT("lat" := LATITUDE, "lon" := LONGITUDE) AS LOCATION,
           'v2/Council/CarParkHistoric' AS SOURCE
      FROM CARPARK_HISTORIC
    PARTITION BY NAME
    EMIT CHANGES;

INSERT INTO CARPARK_EVENTS
    SELECT TIMESTAMPTOSTRING(STRINGTOTIMESTAMP("d2lm:situationRecordCreationTime",
                                               'yyyy-MM-dd''T''HH:mm:ss', 'Europe/London'),
                             'yyyy-MM-dd', 'Europe/London') AS DATE,
           TIMESTAMPTOSTRING(STRINGTOTIMESTAMP("d2lm:situationRecordCreationTime",
                                               'yyyy-MM-dd''T''HH:mm:ss', 'Europe/London'),
                             'HH:mm', 'Europe/London') AS TIME,
           "d2lm:carParkIdentity" AS NAME,
           "d2lm:totalCapacity" AS CAPACITY,
           "d2lm:totalCapacity" - "d2lm:occupiedSpaces" AS EMPTY_PLACES,
           "d2lm:carParkStatus" AS STATUS,
           "d2lm:groupOfLocations" -> "d2lm:locationContainedInGroup" -> "d2lm:pointByCoordinates"
               -> "d2lm:pointCoordinates" -> "d2lm:latitude" AS LATITUDE,
           "d2lm:groupOfLocations" -> "d2lm:locationContainedInGroup" -> "d2lm:pointByCoordinates"
               -> "d2lm:pointCoordinates" -> "d2lm:longitude" AS LONGITUDE,
           '' AS DIRECTIONSURL,
           STRINGTOTIMESTAMP("d2lm:situationRecordCreationTime",
                             'yyyy-MM-dd''T''HH:mm:ss', 'Europe/London') AS TS,
           "d2lm:carParkOccupancy" AS PCT_FULL,
           STRUCT("lat" := "d2lm:groupOfLocations" -> "d2lm:locationContainedInGroup"
                               -> "d2lm:pointByCoordinates" -> "d2lm:pointCoordinates" -> "d2lm:latitude",
                  "lon" := "d2lm:groupOfLocations" -> "d2lm:locationContainedInGroup"
                               -> "d2lm:pointByCoordinates" -> "d2lm:pointCoordinates" -> "d2lm:longitude") AS LOCATION,
           'https://datamillnorth.org/dataset/live-car-park-spaces-api' AS SOURCE
      FROM CARPARK_LEEDS_SRC01
    PARTITION BY "d2lm:carParkIdentity"
    EMIT CHANGES;

-- ---- what is kept up to date ----

CREATE TABLE SOURCE_COUNTS AS
    SELECT SOURCE,
           COUNT(*) AS EVENT_CT,
           TIMESTAMPTOSTRING(MIN(TS), 'yyyy-MM-dd HH:mm:ss', 'Europe/London') AS EARLIEST_TS,
           TIMESTAMPTOSTRING(MAX(TS), 'yyyy-MM-dd HH:mm:ss', 'Europe/London') AS LATEST_TS
      FROM CARPARK_EVENTS
    GROUP BY SOURCE
    EMIT CHANGES;

CREATE TABLE CARPARK_OCCUPANCY
    WITH (KEY_FORMAT='JSON') AS
    SELECT SOURCE,
           NAME,
           LATEST_BY_OFFSET(TS)           AS TS,
           LATEST_BY_OFFSET(EMPTY_PLACES) AS EMPTY_PLACES,
           LATEST_BY_OFFSET(CAPACITY)     AS CAPACITY,
           LATEST_BY_OFFSET(STATUS)       AS STATUS,
           LATEST_BY_OFFSET(PCT_FULL)     AS PCT_FULL,
           LATEST_BY_OFFSET(LOCATION)     AS LOCATION,
           COUNT(*)                       AS EVENT_CT,
           MIN(EMPTY_PLACES)              AS MIN_EMPTY_PLACES,
           MAX(EMPTY_PLACES)              AS MAX_EMPTY_PLACES,
           AVG(EMPTY_PLACES)              AS AVG_EMPTY_PLACES,
           MIN(PCT_FULL)                  AS MIN_PCT_FULL,
           MAX(PCT_FULL)                  AS MAX_PCT_FULL,
           AVG(PCT_FULL)                  AS AVG_PCT_FULL
      FROM CARPARK_EVENTS
    GROUP BY SOURCE, NAME
    EMIT CHANGES;

-- ---- questions ----

SELECT * FROM SOURCE_COUNTS;
SELECT * FROM CARPARK_OCCUPANCY;
SELECT NAME, EMPTY_PLACES FROM CARPARK_OCCUPANCY WHERE SOURCE = 'v2/Council/CarParkCurrent' AND NAME = 'Westgate';
SELECT SUM(EVENT_CT) AS EVENTS FROM CARPARK_OCCUPANCY;
SELECT NAME, TS, SOURCE FROM CARPARK_EVENTS ORDER BY TS;
SELECT SOURCE_NAME, KIND, COLUMN_NAME, REASON FROM WHARFE_REJECTS;
SELECT SOURCE_NAME, QUERY_ID, STAGE, ROWS_IN, ROWS_OUT, ROWS_REJECTED FROM WHARFE_BOOKS ORDER BY SOURCE_NAME, QUERY_ID, STAGE;
DESCRIBE CARPARK_OCCUPANCY;
