"""The audit folder after a power loss or on a full disk: what was signed stays, what was not finished goes."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from app.domain.checkpoints import Checkpoint, Place
from app.storage.checkpoint_folder import CheckpointFolder, CheckpointWriter, FolderUnusable

NAME = "surefill-0123456789abcdef"  # as the sequencer makes them
NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
DASH = "\u2014".encode()


def checkpoint(size: int, at: datetime) -> Checkpoint:
    return Checkpoint(NAME, size, bytes([size]) * 32, at, Place(1000 + size, size))


def writer(folder: Path) -> CheckpointWriter:
    return CheckpointWriter(folder, folder / "key.pem", name=NAME)


def signed(folder: Path, *checkpoints: Checkpoint) -> Path:
    """The file of the last one's day."""
    with closing(writer(folder)) as open_writer:
        for one in checkpoints:
            open_writer.add_checkpoint(one)
    return CheckpointFolder(folder).days()[-1]


@pytest.mark.parametrize("later", [timedelta(seconds=2), timedelta(days=1)], ids=["of a day", "first of a day"])
def test_wherever_the_last_checkpoint_was_cut_those_before_it_count_and_the_next_one_follows(
    tmp_path: Path, later: timedelta
) -> None:
    first, last, next_ = checkpoint(1, NOON), checkpoint(2, NOON + later), checkpoint(3, NOON + 2 * later)
    signed(tmp_path, first)
    before = {day.name: len(day.read_bytes()) for day in CheckpointFolder(tmp_path).days()}
    day = signed(tmp_path, last)
    content = day.read_bytes()
    begins = before.get(day.name, 0)
    assert DASH in content[begins:]
    for ends in range(begins, len(content)):
        day.write_bytes(content[:ends])
        # Whoever only reads may come while it is being written.
        assert list(CheckpointFolder(tmp_path).checkpoints()) == [first], ends
        with closing(writer(tmp_path)) as open_writer:
            assert day.read_bytes() == content[:begins], ends
            open_writer.add_checkpoint(next_)
        folder = CheckpointFolder(tmp_path)
        assert list(folder.checkpoints()) == [first, next_], ends
        if later >= timedelta(days=1):
            folder.days()[-1].unlink()


@pytest.mark.parametrize(
    ("written", "damaged"),
    [(DASH, DASH[:2]), (b"surefill", b"surefil\xe2"), (b"\n\n" + DASH, b"\n\n" + DASH[:1])],
)
def test_half_a_character_before_the_end_is_damage_and_nothing_is_cut(
    tmp_path: Path, written: bytes, damaged: bytes
) -> None:
    day = signed(tmp_path, checkpoint(1, NOON), checkpoint(2, NOON))
    content = day.read_bytes().replace(written, damaged, 1)
    day.write_bytes(content)
    with pytest.raises(FolderUnusable, match="can't decode"):
        writer(tmp_path)
    assert day.read_bytes() == content


def test_a_byte_at_the_end_that_begins_no_character_is_damage_and_nothing_is_cut(tmp_path: Path) -> None:
    day = signed(tmp_path, checkpoint(1, NOON))
    content = day.read_bytes() + b"\xff"
    day.write_bytes(content)
    with pytest.raises(FolderUnusable, match="can't decode"):
        writer(tmp_path)
    assert day.read_bytes() == content


def test_other_line_ends_are_not_taken_for_one_checkpoint_that_was_cut_short(tmp_path: Path) -> None:
    day = signed(tmp_path, checkpoint(1, NOON))
    content = day.read_bytes().replace(b"\n", b"\r\n")
    day.write_bytes(content)
    writer(tmp_path).close()
    assert day.read_bytes() == content
    assert list(CheckpointFolder(tmp_path).checkpoints()) == [checkpoint(1, NOON)]
