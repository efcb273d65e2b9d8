// A real OpenID provider for the tests, told what to do by lines of JSON on its standard input, each answered by one.
//
// {"listen": true}                         → {"issuer": "http://localhost:…"}, another site than 127.0.0.1
// {"serve": {client, jwks, accounts, …}}   → {}   from now on it answers as a provider
// {"advanceS": 60}                         → {}   its clock is so much later
import { createServer } from 'node:http';
import { createInterface } from 'node:readline';

import { Provider } from 'oidc-provider';

let handle = (request, response) => response.writeHead(503).end();
let issuer = '';
const server = createServer((request, response) => handle(request, response));

// The provider refuses to call loopback addresses by a dispatcher of its own; the tests have no other.
const callLoopback = (url, { dispatcher, ...options }) => fetch(url, options);

/** @param {{client: object, jwks: object, accounts: Record<string, object>, inIdToken: boolean}} wanted */
function serve({ client, jwks, accounts, inIdToken }) {
  const provider = new Provider(issuer, {
    clients: [client],
    jwks,
    fetch: callLoopback,
    cookies: { keys: ['of the tests'] },
    conformIdTokenClaims: !inIdToken,
    claims: { openid: ['sub'], profile: ['name', 'preferred_username', 'groups'] },
    features: { backchannelLogout: { enabled: true } },
    findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id, ...accounts[id] }) }),
  });
  handle = provider.callback();
}

const commands = {
  listen: () =>
    new Promise((resolve) => {
      server.listen(0, '127.0.0.1', () => {
        issuer = `http://localhost:${server.address().port}`;
        resolve({ issuer });
      });
    }),
  serve: (wanted) => {
    serve(wanted);
    return {};
  },
  advanceS: (seconds) => {
    const before = Date.now;
    Date.now = () => before() + seconds * 1000;
    return {};
  },
};

const say = process.stdout.write.bind(process.stdout);
console.log = console.info = console.error; // standard output is for answers alone
for await (const line of createInterface({ input: process.stdin })) {
  const [[name, wanted]] = Object.entries(JSON.parse(line));
  say(`${JSON.stringify(await commands[name](wanted))}\n`);
}
process.exit(0); // whoever has started it is gone
