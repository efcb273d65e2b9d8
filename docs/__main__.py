"""Builds the site: `python -m docs` writes build/docs/site, and fails on a dead link, a dead anchor or an undocumented
setting.

The pages are copied, with tables and files in the place of their `{{ placeholders }}`, and Zensical makes a site of the
copy.
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from docs.generated import PLACEHOLDERS, files

ROOT: Final = Path(__file__).parents[1]
PAGES: Final = ROOT / "docs" / "pages"
BUILD: Final = ROOT / "build" / "docs"
_PLACEHOLDER: Final = re.compile(r"\{\{ (\w+)(?: ([^ }]+))? \}\}")
_LINK: Final = re.compile(r"""(?:href|src)="([^"]*)\"""")
# Search works without a server by this small script, which the theme would fetch.
_FETCHED: Final = "https://unpkg.com/iframe-worker/shim"
_VENDORED: Final = "vendor/iframe-worker.js"
_ANCHOR: Final = re.compile(r"""(?:id|name)="([^"]+)\"""")


def page(path: Path) -> str:
    """The text of a page, complete.

    Raises:
        KeyError: a placeholder is unknown.
        DocumentError: what it stands for is undocumented in the code.
    """
    return _PLACEHOLDER.sub(lambda found: _filled(found[1], found[2] or ""), path.read_text())


def _filled(name: str, argument: str) -> str:
    """What a placeholder stands for: a file as a code block, a file as text, or a generated table."""
    if name == "file":
        text = (ROOT / argument).read_text().strip()
        return f"```{argument.rpartition('.')[2]}\n{text}\n```"
    if name == "include":
        return (ROOT / argument).read_text().strip()
    if name == "files":
        return files(ROOT / "src" / "fire22" / argument)
    return PLACEHOLDERS[name]()


def stage(folder: Path) -> None:
    """Write a complete copy of the pages, with the configuration beside them."""
    shutil.rmtree(folder, ignore_errors=True)
    for source in sorted(PAGES.rglob("*")):
        target = folder / "pages" / source.relative_to(PAGES)
        if source.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            if source.suffix == ".md":
                target.write_text(page(source))
            else:
                shutil.copyfile(source, target)
    shutil.copyfile(ROOT / "docs" / "zensical.toml", folder / "zensical.toml")


def problems(site: Path) -> list[str]:
    """Every link of a site that leads nowhere, every anchor that is not there, and everything that is fetched."""
    texts = {path: path.read_text() for path in site.rglob("*.html")}
    anchors = {path: set(_ANCHOR.findall(text)) for path, text in texts.items()}
    found = []
    for path, text in texts.items():
        name = path.relative_to(site)
        if path.name == "404.html":
            continue
        for link in _LINK.findall(text):
            address, _, anchor = link.partition("#")
            if re.match(r"https?:|//", link):
                if f'src="{link}"' in text or f'<link rel="stylesheet" href="{link}"' in text:
                    found.append(f"{name}: {link} is fetched")
                continue
            if link.startswith(("data:", "mailto:", "javascript:")):
                continue
            target = (path.parent / address.partition("?")[0]).resolve() if address else path
            if not target.exists():
                found.append(f"{name}: {link} is not there")
            elif anchor and target in anchors and anchor not in anchors[target] and anchor != "__skip":
                found.append(f"{name}: {link} has no such anchor")
    return found


def build(folder: Path = BUILD) -> Path:
    """Build the site; returns its folder.

    Raises:
        SystemExit: a link or an anchor leads nowhere.
    """
    stage(folder)
    command = [sys.executable, "-m", "zensical", "build", "--clean", "--strict"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stdout + done.stderr)
    site = folder / "site"
    for path in site.rglob("*.html"):
        here = "../" * (len(path.relative_to(site).parts) - 1)
        path.write_text(path.read_text().replace(_FETCHED, here + _VENDORED))
    if found := problems(site):
        raise SystemExit("\n".join(found))
    return site


if __name__ == "__main__":
    site = build()
    print(f"{len(list(site.rglob('*.html')))} pages: {site / 'index.html'}")
