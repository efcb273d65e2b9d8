"""Runs the tests of the JavaScript client and of the page's own logic in Node."""

import shutil
import subprocess
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent


def test_the_javascript_client_and_the_page() -> None:
    """The JavaScript client passes the shared vectors, and the page's store and formats are right."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("no Node on this machine; apt-get install -y nodejs")
    files = sorted(str(path) for path in FOLDER.glob("*.test.js"))
    assert files
    done = subprocess.run([node, "--test", *files], capture_output=True, text=True, timeout=170, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
