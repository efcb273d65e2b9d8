"""What a line of the server's log says of an error."""

import json
import logging

import pytest

from fire22.observability.logging import configure, get_logger


def test_an_errors_own_words_are_not_logged(capsys: pytest.CaptureFixture[str]) -> None:
    """An engineer sees where it failed and by what kind of error, and not the customer's data that it quotes."""
    configure(json=True, level=logging.INFO)
    try:
        try:
            int("Jane Roe")
        except ValueError as error:
            raise KeyError("+44 171 2345") from error
    except KeyError:
        get_logger().error("request failed", exc_info=True)
    line = json.loads(capsys.readouterr().err)
    told = line["exception"]
    assert told.index("builtins.ValueError") < told.index("builtins.KeyError")
    assert 'raise KeyError("+44' in told  # a line of the program, which no data is in
    assert "Jane Roe'" not in told and "KeyError: " not in told
    try:
        try:
            raise OSError(28, "No space left on device")
        except OSError as error:
            raise ExceptionGroup("Jane Roe", [error]) from None
    except ExceptionGroup as error:
        get_logger().error("request failed", exc_info=error)
    told = json.loads(capsys.readouterr().err)["exception"]
    assert "builtins.OSError: [Errno 28] No space left on device" in told
    assert "Jane Roe: " not in told
    assert "ExceptionGroup\n" in told
