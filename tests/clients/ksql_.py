"""PyPI ksql: HTTP/1.1, and HTTP/2 by upgrade, through a package that newer Pythons do not import. Argument: host:port."""

import collections
import collections.abc
import json
import sys

# What `hyper` looks for where it has not been since Python 3.10.
for name in ("Callable", "Iterable", "Mapping", "MutableMapping", "MutableSet"):
    setattr(collections, name, getattr(collections.abc, name))

from ksql import KSQLAPI
from ksql.errors import KSQLError

EARLIEST = {"ksql.streams.auto.offset.reset": "earliest"}


def main(address):
    client = KSQLAPI(f"http://{address}")
    assert client.get_ksql_version()
    assert client.create_stream("S", ["K varchar", "V int"], "s", "JSON") is True
    assert client.create_stream_as("BIG", ["K", "V"], "S", kafka_topic="big", conditions="V > 1") is True
    client.ksql("CREATE TABLE T AS SELECT K, SUM(V) AS V FROM S GROUP BY K;", EARLIEST)
    for value in (1, 2):
        try:
            client.ksql(f"INSERT INTO S (K, V) VALUES ('a', {value});")
        except IndexError:
            # It looks for an entity, which INSERT … VALUES has not, in ksqlDB neither.
            pass
    rows = client.query("SELECT K, V FROM S EMIT CHANGES LIMIT 2;", stream_properties=EARLIEST, return_objects=True)
    assert list(rows) == [{"K": "a", "V": 1}, {"K": "a", "V": 2}]
    while not any('["a",3]' in line for line in client.sa.query("SELECT * FROM T;")):
        pass
    # Both begin in HTTP/1.1 and ask for HTTP/2.
    acks = client.inserts_stream("S", [{"K": "b", "V": 5}, {"K": "b", "NOPE": 6}])
    assert [ack["status"] for ack in acks] == ["ok", "error"], acks
    rows = list(client.query("SELECT K, V FROM S EMIT CHANGES LIMIT 3;", stream_properties=EARLIEST, use_http2=True))
    assert [json.loads(row) for row in rows if row][1:] == [["a", 1], ["a", 2], ["b", 5]], rows
    assert client.close_query("nobody") is False
    assert any(prop["name"] == "auto.offset.reset" for prop in client.get_properties())
    assert [stream["name"] for stream in client.ksql("SHOW STREAMS;")[0]["streams"]] == ["BIG", "S"]
    query = client.ksql("DESCRIBE BIG;")[0]["sourceDescription"]["writeQueries"][0]["id"]
    assert client.ksql(f"EXPLAIN {query};")[0]["queryDescription"]["id"] == query
    try:
        client.ksql("SELEC 1;")
        raise AssertionError("it is carried out")
    except KSQLError as error:
        assert error.error_code == 40001, error
    client.ksql(f"TERMINATE {query};")
    client.ksql("DROP STREAM BIG;")


main(sys.argv[1])
