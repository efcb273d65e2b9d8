// Node's `ws`, used as its own documentation shows: whatever comes on a connection to /publish goes to every other one.
// node peer_ws.mjs PORT FOLDER [deflate]: FOLDER has node_modules/ws; `deflate` is `perMessageDeflate: true` as it comes.

import { createRequire } from "node:module";

const [port, folder, compression] = process.argv.slice(2);
const { WebSocketServer, WebSocket } = createRequire(`${folder}/`)("ws");

const server = new WebSocketServer({
  host: "127.0.0.1",
  port: Number(port),
  backlog: 4096,
  perMessageDeflate: compression === "deflate",
});

server.on("connection", (publisher, request) => {
  publisher.on("error", () => publisher.terminate());
  if (request.url !== "/publish") return;
  publisher.on("message", (data, isBinary) => {
    for (const client of server.clients) {
      if (client !== publisher && client.readyState === WebSocket.OPEN) client.send(data, { binary: isBinary });
    }
  });
});

server.on("listening", () => console.log("ready"));
process.on("SIGTERM", () => process.exit(0));
