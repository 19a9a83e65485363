// npm ksqldb-client: HTTP/2 by prior knowledge, one statement at a time. Argument: host:port.
const assert = require("node:assert");
const Client = require("ksqldb-client");

const until = async (ask, wanted) => {
  for (;;) {
    const got = await ask();
    if (wanted(got)) return got;
  }
};

const main = async ([host, port]) => {
  const client = new Client({ host, port });
  await client.connect();
  const done = async (sql, params) => {
    const { status, error, data } = await client.executeStatement(sql, params);
    assert.strictEqual(status, 200, `${sql}: ${JSON.stringify(error)}`);
    return data.rows[0];
  };
  await done("CREATE STREAM ${S} (K VARCHAR KEY, V INT) WITH (KAFKA_TOPIC='s', VALUE_FORMAT='JSON', PARTITIONS=1);",
    { sessionVariables: { S: "S" } });
  const query = await done("CREATE TABLE T AS SELECT K, SUM(V) AS V FROM S GROUP BY K EMIT CHANGES;",
    { streamsProperties: { "auto.offset.reset": "earliest" } });
  const inserted = await client.insertInto("S", { K: "a", V: 1 });
  assert.deepStrictEqual(inserted.data.rows, [{ status: "ok", seq: 0 }]);
  const refused = await client.insertInto("S", { K: "a", NOPE: 1 });
  assert.deepStrictEqual([refused.error.status, refused.error.error_code], ["error", 40001]);
  await client.insertInto("S", { K: "a", V: 2 });

  const pulled = await until(() => client.query("SELECT * FROM T WHERE K = 'a';"), ({ data }) => data.rows.some((row) => row.V === 3));
  assert.deepStrictEqual(pulled.data.metadata.columnNames, ["K", "V"]);
  assert.deepStrictEqual(pulled.data.metadata.columnTypes, ["STRING", "INTEGER"]);

  let id;
  const rows = [];
  const pushed = await client.streamQuery("SELECT * FROM T EMIT CHANGES;", async ({ metadata, rows: more }) => {
    rows.push(...(more ?? []));
    if (metadata?.queryId) {
      id = metadata.queryId;
      await client.insertInto("S", { K: "a", V: 4 });
    }
    if (rows.length > 0 && id) {
      const closing = id;
      id = undefined;
      assert.strictEqual((await client.terminatePushQuery(closing)).status, 200);
    }
  });
  assert.strictEqual(pushed.status, 200);
  const unknown = await client.terminatePushQuery("nobody");
  assert.strictEqual(unknown.status, 400);

  assert.ok((await client.listStreams()).some(({ name, topic }) => name === "S" && topic === "s"));
  assert.ok((await client.listTables()).some(({ name }) => name === "T"));
  assert.ok((await client.listTopics()).some(({ name }) => name === "s"));
  const queries = await client.listQueries();
  assert.strictEqual(queries.find(({ id }) => id === query.commandStatus.queryId)?.state, "RUNNING", JSON.stringify(queries));
  const described = await client.describeSource("T");
  assert.deepStrictEqual(described.fields.map(({ name, type }) => [name, type]), [["K", "KEY"], ["V", undefined]]);

  const bad = await client.query("SELECT * FROM NOPE;");
  assert.deepStrictEqual([bad.status, bad.error.error_code], [400, 40001]);
  await done(`TERMINATE ${query.commandStatus.queryId};`);
  await done("DROP TABLE T;");
  await done("DROP STREAM S DELETE TOPIC;");
  assert.ok(!(await client.listStreams()).some(({ name }) => name === "S"));
  await client.disconnect();
};

main(process.argv[2].split(":"));
