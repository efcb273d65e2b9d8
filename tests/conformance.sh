#!/usr/bin/env bash
# conformance.sh RUNNER [EXCLUDED ...]: starts a server with the echo endpoint and runs the Autobahn suite against it.
set -euo pipefail
cd "$(dirname "$0")/.."
runner=$1; shift
folder=$(mktemp -d)
port=$(.venv/bin/python -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
.venv/bin/fire22 serve --data "$folder" --port "$port" --echo >"$folder/log" 2>&1 &
server=$!
trap 'kill $server 2>/dev/null; rm -rf "$folder"' EXIT
for _ in $(seq 100); do
  .venv/bin/python -c "import urllib.request; urllib.request.urlopen('http://127.0.0.1:$port/healthz')" 2>/dev/null && break
  kill -0 $server || { cat "$folder/log"; exit 1; }
  sleep 0.1
done
"$runner" "ws://127.0.0.1:$port/echo" "$@"
