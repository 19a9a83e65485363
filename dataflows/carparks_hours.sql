-- The car parks over time, and each one beside its newest event: more tables over the stream of carparks.sql, which
-- runs first. It is run with that script's topology:
--   wharfe run dataflows/carparks_hours.sql --topology dataflows/carparks.toml
--
--   CARPARK_EVENTS ─┬─► CARPARK_HOURS, CITY_HOURS
--                   ├─► CARPARK_PLACES ────┬─► CARPARK_NEWEST
--                   └─► CARPARK_OCCUPANCY ─┘

RUN SCRIPT 'carparks.sql';

-- ---- over time: by the hours of the clocks there ----

CREATE TABLE CARPARK_HOURS
    WITH (KEY_FORMAT='JSON') AS
    SELECT SOURCE,
           TIMESTAMPTOSTRING(TS, 'yyyy-MM-dd HH', 'Europe/London') AS HOUR,
           COUNT(*)             AS EVENT_CT,
           AVG(EMPTY_PLACES)    AS AVG_EMPTY_PLACES,
           MEDIAN(EMPTY_PLACES) AS MEDIAN_EMPTY_PLACES,
           MIN(EMPTY_PLACES)    AS MIN_EMPTY_PLACES,
           MAX(EMPTY_PLACES)    AS MAX_EMPTY_PLACES
      FROM CARPARK_EVENTS
    GROUP BY SOURCE, TIMESTAMPTOSTRING(TS, 'yyyy-MM-dd HH', 'Europe/London')
    EMIT CHANGES;

CREATE TABLE CITY_HOURS AS
    SELECT TIMESTAMPTOSTRING(TS, 'yyyy-MM-dd HH', 'Europe/London') AS HOUR,
           COUNT(*)             AS EVENT_CT,
           AVG(EMPTY_PLACES)    AS AVG_EMPTY_PLACES,
           MEDIAN(EMPTY_PLACES) AS MEDIAN_EMPTY_PLACES,
           AVG(PCT_FULL)        AS AVG_PCT_FULL
      FROM CARPARK_EVENTS
    GROUP BY TIMESTAMPTOSTRING(TS, 'yyyy-MM-dd HH', 'Europe/London')
    EMIT CHANGES;

-- ---- what a car park is, beside its newest event ----

CREATE TABLE CARPARK_PLACES
    WITH (KEY_FORMAT='JSON', VALUE_FORMAT='JSON') AS
    SELECT SOURCE,
           NAME,
           LATEST_BY_OFFSET(LOCATION)      AS LOCATION,
           LATEST_BY_OFFSET(DIRECTIONSURL) AS DIRECTIONSURL
      FROM CARPARK_EVENTS
    GROUP BY SOURCE, NAME
    EMIT CHANGES;

CREATE TABLE CARPARK_NEWEST
    WITH (KEY_FORMAT='JSON', VALUE_FORMAT='JSON') AS
    SELECT O.SOURCE AS SOURCE,
           O.NAME   AS NAME,
           P.LOCATION AS LOCATION, P.DIRECTIONSURL AS DIRECTIONSURL,
           O.TS AS TS, O.EMPTY_PLACES AS EMPTY_PLACES, O.CAPACITY AS CAPACITY, O.STATUS AS STATUS,
           O.PCT_FULL AS PCT_FULL
      FROM CARPARK_OCCUPANCY O
      JOIN CARPARK_PLACES P ON O.SOURCE = P.SOURCE AND O.NAME = P.NAME
    EMIT CHANGES;
