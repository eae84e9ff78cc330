"""New files: whole or not there, and never in the place of another one."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from genesis_otel._store.new_file import NewFileError, whole


def test_a_file_that_somebody_makes_meanwhile_stays(tmp_path: Path) -> None:
    """Two exports to the same name: the second one to end says so, and leaves nothing."""
    path = tmp_path / "search.zip"
    with pytest.raises(NewFileError, match="somebody else"), whole(path) as aside:  # noqa: PT012 - what is between is the point
        aside.write_text("second")
        with whole(path) as first:
            first.write_text("first")
    assert path.read_text() == "first"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_system_without_links_gets_the_file_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As some that are mounted from elsewhere."""

    def link(*_: object) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", link)
    path = tmp_path / "search.zip"
    with whole(path) as aside:
        aside.write_text("content")
    assert path.read_text() == "content" and list(tmp_path.iterdir()) == [path]
