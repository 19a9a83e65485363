// 127.0.0.0 answers nothing, as on the systems that ksqldb-client's tests were written on: one of them connects to it
// and waits. Linux would refuse at once.
const net = require("node:net");
const { connect } = net.Socket.prototype;

net.Socket.prototype.connect = function (...given) {
  const [options] = given.flat();
  if (options?.host === "127.0.0.0") Object.assign(options, { host: "silent.invalid", lookup: () => {} });
  return connect.apply(this, given);
};
