"""What the server's process has of the machine."""

import stat
from pathlib import Path

from fire22.process import locked


def test_nobody_else_gets_into_the_data_folder(tmp_path: Path) -> None:
    """Files that an earlier version left readable are closed at the next start; the owner's rights do not grow."""
    folder = tmp_path / "data"
    folder.mkdir(mode=0o755)
    for name, mode in (("flows.db", 0o644), ("token.key", 0o400)):
        (folder / name).touch()
        (folder / name).chmod(mode)
    with locked(folder):
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (folder, *folder.iterdir())}
    assert (modes["data"], modes["flows.db"], modes["token.key"]) == (0o700, 0o600, 0o400)
