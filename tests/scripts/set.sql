-- SET and UNSET.
SET 'auto.offset.reset' = 'latest';
SHOW PROPERTIES;
UNSET 'auto.offset.reset';
SHOW PROPERTIES;
SET 'auto.offset.reset' = 'earliest';
SET 'auto.offset.reset' = 'sometimes';
SET 'made.up' = 'x';
SHOW PROPERTIES;
SET auto = 1;
UNSET x;
