"""Confluent's own serialisers, asked by tests/interop.rs.

confluent.py write URL        messages of each kind of schema: TOPIC and the value in hex, a line each
confluent.py read URL KIND    values in hex, a line each, from standard input: what they hold, as JSON
"""

import base64
import datetime
import decimal
import json
import sys

from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.schema_registry.json_schema import JSONDeserializer, JSONSerializer
from confluent_kafka.schema_registry.protobuf import ProtobufDeserializer, ProtobufSerializer
from confluent_kafka.serialization import MessageField, SerializationContext
from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory

AVRO_OLD = {
    "type": "record", "name": "Park", "namespace": "leeds",
    "fields": [
        {"name": "name", "type": "string"},
        {"name": "spaces", "type": "int"},
    ],
}
AVRO = {
    **AVRO_OLD,
    "fields": AVRO_OLD["fields"] + [
        {"name": "pct", "type": ["null", "double"], "default": None},
        {"name": "seen", "type": {"type": "long", "logicalType": "timestamp-millis"}, "default": 0},
        {"name": "day", "type": ["null", {"type": "int", "logicalType": "date"}], "default": None},
        {"name": "price", "type": ["null", {"type": "bytes", "logicalType": "decimal", "precision": 6, "scale": 2}],
         "default": None},
        {"name": "tags", "type": {"type": "array", "items": "string"}, "default": []},
        {"name": "extra", "type": {"type": "map", "values": "long"}, "default": {}},
        {"name": "at", "type": ["null", {"type": "record", "name": "At", "fields": [
            {"name": "lat", "type": "double"}, {"name": "lon", "type": "double"}]}], "default": None},
        {"name": "state", "type": {"type": "enum", "name": "State", "symbols": ["OPEN", "CLOSED"]},
         "default": "OPEN"},
    ],
}
SEEN = datetime.datetime(2020, 10, 11, 21, 25, tzinfo=datetime.timezone.utc)

JSON = {
    "$schema": "http://json-schema.org/draft-07/schema#", "title": "Park", "type": "object",
    "properties": {
        "name": {"type": "string"},
        "spaces": {"type": "integer"},
        "pct": {"oneOf": [{"type": "null"}, {"type": "number"}]},
        "tags": {"type": "array", "items": {"type": "string"}},
        "at": {"type": "object", "properties": {"lat": {"type": "number"}}},
    },
}


def protobuf_file():
    """A file whose second message holds the one that is written, so that its path is 1, 0."""
    kinds = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="park.proto", package="leeds", syntax="proto3")
    file.message_type.add(name="Other").field.add(name="x", number=1, type=kinds.TYPE_INT32, label=1)
    outer = file.message_type.add(name="City")
    park = outer.nested_type.add(name="Park")

    def field(name, number, kind, label=kinds.LABEL_OPTIONAL, **more):
        park.field.add(name=name, number=number, type=kind, label=label, **more)

    field("name", 1, kinds.TYPE_STRING)
    field("spaces", 2, kinds.TYPE_INT32)
    park.oneof_decl.add(name="_pct")
    field("pct", 3, kinds.TYPE_DOUBLE, proto3_optional=True, oneof_index=0)
    field("tags", 4, kinds.TYPE_STRING, kinds.LABEL_REPEATED)
    field("total", 5, kinds.TYPE_SINT64)
    at = park.nested_type.add(name="At")
    at.field.add(name="lat", number=1, type=kinds.TYPE_DOUBLE, label=kinds.LABEL_OPTIONAL)
    field("at", 6, kinds.TYPE_MESSAGE, type_name=".leeds.City.Park.At")
    entry = park.nested_type.add(name="ExtraEntry")
    entry.options.map_entry = True
    entry.field.add(name="key", number=1, type=kinds.TYPE_STRING, label=kinds.LABEL_OPTIONAL)
    entry.field.add(name="value", number=2, type=kinds.TYPE_INT64, label=kinds.LABEL_OPTIONAL)
    field("extra", 7, kinds.TYPE_MESSAGE, kinds.LABEL_REPEATED, type_name=".leeds.City.Park.ExtraEntry")
    return file


def message_class(file, name):
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(name))


def write(client):
    def say(topic, serializer, value):
        print(topic, serializer(value, SerializationContext(topic, MessageField.VALUE)).hex())

    old = AvroSerializer(client, json.dumps(AVRO_OLD))
    say("avro", old, {"name": "Briggate", "spaces": 7})
    new = AvroSerializer(client, json.dumps(AVRO))
    say("avro", new, {
        "name": "Wärtens", "spaces": -1, "pct": 12.5, "seen": SEEN, "day": SEEN.date(),
        "price": decimal.Decimal("12.50"), "tags": ["a", ""], "extra": {"x": 1 << 40},
        "at": {"lat": 53.8, "lon": -1.5}, "state": "CLOSED",
    })
    say("avro", old, {"name": "", "spaces": 0})

    park = JSONSerializer(json.dumps(JSON), client)
    say("json", park, {"name": "Briggate", "spaces": 7, "pct": 12.5, "tags": ["a"], "at": {"lat": 53.8}})
    say("json", park, {"name": "Wärtens", "pct": None})

    Park = message_class(protobuf_file(), "leeds.City.Park")
    serializer = ProtobufSerializer(Park, client, {"use.deprecated.format": False})
    say("protobuf", serializer, Park(
        name="Wärtens", spaces=-1, pct=0.0, tags=["a", ""], total=-(1 << 40), at={"lat": 53.8}, extra={"x": 1},
    ))
    say("protobuf", serializer, Park(name="Briggate"))


def plain(value):
    """What JSON has no word for, as text."""
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return str(value)


def read(client, kind):
    def reader(value):
        schema_id = int.from_bytes(value[1:5], "big")
        if kind == "avro":
            return AvroDeserializer(client)
        if kind == "json":
            return JSONDeserializer(client.get_schema(schema_id), schema_registry_client=client)
        text = client.get_schema(schema_id, fmt="serialized").schema_str
        file = descriptor_pb2.FileDescriptorProto.FromString(base64.b64decode(text))
        file.name = "ours.proto"
        package = file.package + "." if file.package else ""
        Message = message_class(file, package + file.message_type[0].name)
        return ProtobufDeserializer(Message, {"use.deprecated.format": False}, client)

    for line in sys.stdin:
        value = bytes.fromhex(line.strip())
        found = reader(value)(value, SerializationContext(kind, MessageField.VALUE))
        if kind == "protobuf":
            found = json_format.MessageToDict(found, preserving_proto_field_name=True)
        print(json.dumps(found, default=plain, sort_keys=True))


if __name__ == "__main__":
    registry = SchemaRegistryClient({"url": sys.argv[2]})
    if sys.argv[1] == "write":
        write(registry)
    else:
        read(registry, sys.argv[3])
