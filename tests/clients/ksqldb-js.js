// npm ksqldb-js: HTTP/1.1 for statements and pull queries, HTTP/2 for the rest. Argument: host:port.
const assert = require("node:assert");
const Client = require("ksqldb-js");

const until = async (ask, wanted) => {
  for (;;) {
    const got = await ask();
    if (wanted(got)) return got;
  }
};

const main = async (address) => {
  const client = new Client({ ksqldbURL: `http://${address}` });
  assert.strictEqual((await client.inspectServerInfo()).data.KsqlServerInfo.serverStatus, "RUNNING");
  assert.strictEqual((await client.inspectServerHealth()).data.isHealthy, true);
  assert.ok((await client.inspectClusterStatus()).data.clusterStatus);
  assert.strictEqual((await client.isValidProperty("auto.offset.reset")).data, true);
  await assert.rejects(client.isValidProperty("nope"));

  const created = await client.createStream("S", ["K VARCHAR KEY", "V INT"], "s");
  assert.strictEqual(created.data[0].commandStatus.status, "SUCCESS");
  const { commandId } = created.data[0];
  assert.strictEqual((await client.inspectQueryStatus(commandId)).data.status, "SUCCESS");
  const query = await client.createStreamAs("BIG", ["K", "V"], "S", { kafka_topic: "big" }, "V > 1");
  assert.match(query, /^CSAS_BIG_/);
  await client.createTableAs("T", "S", ["K", "SUM(V) AS V"], { topic: "t" }, { GROUP_BY: "K" });

  let closing;
  const seen = [];
  const pushed = new Promise((resolve) => {
    closing = client.push("SELECT * FROM S EMIT CHANGES LIMIT 2;", (chunk) => {
      seen.push(JSON.parse(chunk));
      if (seen.length === 3) resolve();
    });
  });
  await closing;
  const acks = await client.insertStream("S", [{ K: "a", V: 1 }, { K: "a", V: 2 }]);
  assert.deepStrictEqual(acks, [{ status: "ok", seq: 0 }, { status: "ok", seq: 1 }]);
  await pushed;
  assert.deepStrictEqual(seen.slice(1), [["a", 1], ["a", 2]]);

  const pulled = await until(() => client.pull("SELECT * FROM T WHERE K = 'a';"), (rows) => rows.length === 2 && rows[1][1] === 3);
  assert.deepStrictEqual(pulled[0].columnNames, ["K", "V"]);
  await until(() => client.pull("SELECT * FROM BIG;"), (rows) => rows.length === 2);

  const pushing = await client.push("SELECT * FROM T EMIT CHANGES;", () => {});
  assert.deepStrictEqual(await client.terminate(pushing).then((entity) => entity.wasTerminated), true);
  assert.strictEqual((await client.ksql("DESCRIBE T;")).sourceDescription.name, "T");
  assert.strictEqual((await client.ksql(`EXPLAIN ${query};`)).queryDescription.id, query);
  assert.deepStrictEqual((await client.ksql("LIST STREAMS;")).streams.map(({ name }) => name), ["BIG", "S"]);
  await assert.rejects(client.ksql("SELEC 1;"), (error) => error.message.includes("SELECT"));
  await assert.rejects(client.pull("SELECT * FROM NOPE;"));
  assert.strictEqual((await client.terminate(query)).commandStatus.message, "Query terminated.");
  await client.ksql("DROP STREAM BIG;");
  assert.strictEqual((await client.terminateCluster(["t"])).status, 200);
  assert.deepStrictEqual((await client.ksql("LIST QUERIES;")).queries, []);
};

main(process.argv[2]);
