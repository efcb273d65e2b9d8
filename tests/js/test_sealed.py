"""Sealed messages between the two clients: what one seals, the other opens."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from fire22.client import sealed
from fire22.core.message import Json

MODULE = Path(__file__).parents[2] / "clients" / "js" / "src" / "sealed.js"
TARGET = "client:ünï"
DATA: list[Json] = [None, "Grüße 🎾", {"amount": 12.5, "lines": ["a", {}]}, "x" * 50_000]
SCRIPT = """
import { importPrivateKey, open, seal } from %s;
import { readFileSync } from 'node:fs';
const { own, other, messages, target } = JSON.parse(readFileSync(0, 'utf8'));
const bytes = (hex) => Uint8Array.from(Buffer.from(hex, 'hex'));
const privateKey = await importPrivateKey(bytes(own.private));
const answers = [];
for (const message of messages) {
  const opened = await open(message, privateKey, { target, publicKey: bytes(own.public) });
  answers.push(await seal(opened, bytes(other), { target }));
}
process.stdout.write(JSON.stringify(answers));
"""


def test_between_the_clients() -> None:
    """JavaScript opens what Python has sealed, and Python what JavaScript has sealed of it again."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("no Node on this machine; apt-get install -y nodejs")
    there, here = sealed.key_pair(), sealed.key_pair()
    told = {
        "own": {"public": there.public.hex(), "private": there.private.hex()},
        "other": here.public.hex(),
        "messages": [sealed.seal(each, there.public, target=TARGET) for each in DATA],
        "target": TARGET,
    }
    script = SCRIPT % json.dumps(MODULE.as_uri())
    arguments = [node, "--input-type=module", "--eval", script]
    done = subprocess.run(arguments, input=json.dumps(told), capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    answers = json.loads(done.stdout)
    assert [sealed.open(each, here.private, target=TARGET) for each in answers] == DATA
