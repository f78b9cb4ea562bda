// An echo server as programs for Node.js are written: node echo.js PORT [WORK] [BACKLOG].
//
// A subject of `lab compare`. WORK is what each line costs before it is echoed, in seconds: io=0.005
// waits, io=exp:0.005 waits so long on average, cpu=0.001 computes, and none is free. Timers count in
// milliseconds, and none is shorter than one.
"use strict";
const net = require("node:net");
const { setTimeout: wait } = require("node:timers/promises");

// What `node -e` runs has no name in front of its arguments.
const given = process.argv.slice(__filename === "[eval]" ? 1 : 2);
const [port, work = "none", backlog = "128"] = given;
const [kind, amount] = work.split("=");

// Until the process, whose one thread this is, has used the time.
function burn(seconds) {
  const used = ({ user, system }) => user + system;
  const begun = process.cpuUsage();
  while (used(process.cpuUsage(begun)) < seconds * 1e6) {
    for (let round = 0; round < 1000; round += 1);
  }
}

function waitSeconds() {
  if (!amount.startsWith("exp:")) return Number(amount);
  return -Math.log(1 - Math.random()) * Number(amount.slice("exp:".length));
}

async function pay(lines) {
  for (let line = 0; line < lines; line += 1) {
    if (kind === "cpu") burn(Number(amount));
    else await wait(waitSeconds() * 1000);
  }
}

function lines(data) {
  let count = 0;
  for (let at = data.indexOf(10); at >= 0; at = data.indexOf(10, at + 1)) count += 1;
  return count;
}

async function serve(socket) {
  for await (const data of socket) {
    await pay(lines(data));
    socket.write(data);
  }
  socket.end();
}

// Half open, or the answers that are still to come would be lost once the peer has said all.
const server = net.createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
  socket.on("error", () => {}); // The peer is gone, and nobody waits for an answer.
  if (kind === "none") socket.pipe(socket);
  else serve(socket).catch(() => {});
});
server.listen({ host: "127.0.0.1", port: Number(port), backlog: Number(backlog) });
