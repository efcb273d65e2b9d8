"""The npm package as somebody who installs it finds it."""

import json
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

CLIENT = Path(__file__).parents[2] / "clients" / "js"
TYPESCRIPT = CLIENT / "node_modules" / "typescript"
USE = """
import { connect, type Client, type Message } from 'fire22-client';
import { keyPair, seal } from 'fire22-client/sealed';

const client: Client = connect({ url: 'ws://127.0.0.1:8080/v1/ws', token: async () => 'jwt' });
const handlers = { onMessage: (message: Message) => console.log(message.offset) };
const followed = client.subscribe('wagers', { scope: '/M1', last: 5 }, handlers);
followed.unsubscribe();
const page = await client.history('wagers', { limit: 3 });
const offsets: (number | undefined)[] = page.messages.map((message) => message.offset);
const sealed: { sealed: string } = await seal(1, (await keyPair()).publicKey, { target: 'client:c' });
// @ts-expect-error there is no such option
client.subscribe('wagers', { scoop: '/M1' }, {});
// @ts-expect-error an address is a text
connect({ url: 7 });
export { offsets, sealed };
"""


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package, packed from a copy and unpacked as npm does it, in a project of its own."""
    if shutil.which("npm") is None or not TYPESCRIPT.is_dir():
        pytest.skip("npm or TypeScript is missing; apt-get install -y npm, then make check-js")
    folder = tmp_path_factory.mktemp("package")
    copy = folder / "clients" / "js"
    shutil.copytree(CLIENT, copy, ignore=shutil.ignore_patterns("node_modules", "types"))
    (copy / "node_modules").symlink_to(CLIENT / "node_modules")
    subprocess.run(["npm", "pack", "--pack-destination", str(folder)], cwd=copy, check=True, capture_output=True)
    [packed] = folder.glob("*.tgz")
    project = folder / "project"
    with tarfile.open(packed) as archive:
        archive.extractall(project / "node_modules", filter="data")
    (project / "node_modules" / "package").rename(project / "node_modules" / "fire22-client")
    (project / "package.json").write_text('{"private": true, "type": "module"}')
    return project / "node_modules" / "fire22-client"


def test_the_package_is_whole(package: Path) -> None:
    """It holds the licence, the README, the modules and their types, and nothing else."""
    about = json.loads((package / "package.json").read_text())
    for entry in about["exports"].values():
        assert (package / entry["default"]).is_file()
        assert (package / entry["types"]).is_file()
    assert about["types"] == about["exports"]["."]["types"]
    assert (package / "LICENSE").read_text() == (CLIENT.parents[1] / "LICENSE").read_text()
    assert {each.name for each in package.iterdir()} == {"LICENSE", "README.md", "package.json", "src", "types"}
    modules = {each.stem for each in (package / "src").iterdir()}
    assert modules == {each.name.removesuffix(".d.ts") for each in (package / "types").iterdir()}


def test_a_typescript_program_has_its_types(package: Path) -> None:
    """A program in TypeScript is checked against them: what is right passes, what is wrong does not."""
    project = package.parents[1]
    (project / "use.ts").write_text(USE)
    options = ["--strict", "--noEmit", "--target", "es2022", "--module", "nodenext", "--moduleResolution", "nodenext"]
    tsc = [str(CLIENT / "node_modules" / ".bin" / "tsc"), *options, "--types", "", "--lib", "es2022,dom", "use.ts"]
    done = subprocess.run(tsc, cwd=project, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
