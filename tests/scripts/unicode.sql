-- Text that is not ASCII, in names, values, keys and files.
--file u.json
--| {"NAME": "Zürich \u20ac 😀", "n": 1}
--| {"NAME": "\ud83d\ude00", "n": 2}
CREATE STREAM U (NAME VARCHAR, `größe` INT) WITH (KAFKA_TOPIC='u', VALUE_FORMAT='JSON');
SELECT NAME, LEN(NAME) AS L, UCASE(NAME) AS U, SUBSTRING(NAME, 1, 2) AS S, `größe` FROM U;
SELECT 'π' || '\n' AS P FROM U LIMIT 1;
SELECT NAME FROM U WHERE NAME LIKE '%_😀';
CREATE TABLE T AS SELECT NAME, COUNT(*) AS N FROM U GROUP BY NAME;
SELECT * FROM T WHERE NAME = '😀';
SELECT größe FROM U;
