-- Car parks of Bradford and Leeds: three feeds of the same kind of event in different shapes become
-- one stream, and two tables are kept up to date from it.
--
--   carparks ──────────┐
--   carparks_historic ─┼─► CARPARK_EVENTS ─┬─► SOURCE_COUNTS
--   carparks_leeds ────┘                   └─► CARPARK_OCCUPANCY

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
