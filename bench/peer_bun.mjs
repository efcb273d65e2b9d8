// Bun's own publish: whatever comes on a connection to /publish goes to every subscriber of one topic.
// bun peer_bun.mjs PORT [deflate]

const [port, compression] = process.argv.slice(2);
const compresses = compression === "deflate";

const server = Bun.serve({
  hostname: "127.0.0.1",
  port: Number(port),
  fetch(request, self) {
    const publishes = new URL(request.url).pathname === "/publish";
    if (self.upgrade(request, { data: { publishes } })) return undefined;
    return new Response("There is only a WebSocket here.", { status: 426 });
  },
  websocket: {
    perMessageDeflate: compresses,
    backpressureLimit: 16 << 20,
    open(socket) {
      if (!socket.data.publishes) socket.subscribe("bench");
    },
    message(_socket, message) {
      server.publish("bench", message, compresses);
    },
  },
});

console.log("ready");
process.on("SIGTERM", () => process.exit(0));
