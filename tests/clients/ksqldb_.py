"""PyPI ksqldb: HTTP/1.1 for statements, HTTP/2 by prior knowledge for rows. Argument: host:port."""

import asyncio
import sys

import requests
from ksqldb import KSQLdbClient

EARLIEST = {"ksql.streams.auto.offset.reset": "earliest"}


async def first_rows(client, sql, count):
    rows = []
    async for item in client.query_async(sql, EARLIEST):
        rows.append(item)
        if len(rows) == count:
            return rows


def main(address):
    client = KSQLdbClient(f"http://{address}")
    client.ksql("CREATE STREAM S (K VARCHAR KEY, V INT) WITH (KAFKA_TOPIC='s', VALUE_FORMAT='JSON', PARTITIONS=1);")
    created = client.ksql("CREATE TABLE T AS SELECT K, SUM(V) AS V FROM S GROUP BY K;", EARLIEST)
    query = created[0]["commandStatus"]["queryId"]
    client.ksql("INSERT INTO S (K, V) VALUES ('a', 1);")
    assert client.inserts_stream("S", [{"K": "a", "V": 2}, {"K": "b", "V": 3}]) == [
        {"status": "ok", "seq": 0},
        {"status": "ok", "seq": 1},
    ]
    while ["a", 3] not in client.query_sync("SELECT * FROM T;"):
        pass

    head, *rows = asyncio.run(first_rows(client, "SELECT K, V FROM S EMIT CHANGES;", 4))
    assert head["columnNames"] == ["K", "V"] and rows == [["a", 1], ["a", 2], ["b", 3]], (head, rows)
    # A client that stops to read has closed its query.
    assert not client.close_query("nobody")

    assert any(prop["name"] == "auto.offset.reset" for prop in client.get_properties())
    assert client.ksql("LIST STREAMS;")[0]["streams"][0]["name"] == "S"
    assert client.ksql("DESCRIBE T;")[0]["sourceDescription"]["writeQueries"][0]["id"] == query
    assert client.ksql(f"EXPLAIN {query};")[0]["queryDescription"]["sinks"] == ["T"]
    try:
        client.ksql("SELEC 1;")
        raise AssertionError("it is carried out")
    except requests.HTTPError as error:
        assert error.response.status_code == 400 and error.response.json()["error_code"] == 40001
    client.ksql(f"TERMINATE {query}; DROP TABLE T; DROP STREAM S DELETE TOPIC;")
    assert client.ksql("LIST STREAMS;")[0]["streams"] == []


main(sys.argv[1])
