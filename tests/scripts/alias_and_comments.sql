/* block
   comment */ SELECT 1 AS ONE FROM S; -- before its stream
CREATE STREAM S (ID INT -- inline
  ) WITH (KAFKA_TOPIC='s', /* here */ VALUE_FORMAT='JSON');
INSERT INTO S VALUES (1) ;; ;
SELECT s.id AS "x y", s.ID + 1 sum FROM S AS s WHERE s.id = 1;
SELECT 'a -- no comment' AS A, '/* neither */' AS B, 'semi;colon' AS C FROM S;
