"""`audit verify`, `audit export`, `audit prove`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO, Any
from uuid import UUID

import click
from flask.cli import AppGroup

from app.cli.surroundings import command, database, surroundings
from app.domain.audit_chain import time_text
from app.domain.checkpoints import MalformedCheckpoint, checkpoint_from
from app.domain.merkle import GrowingTree, consistency_proof, inclusion_proof, leaf_hash
from app.storage.audit_reads import Verification, verify
from app.storage.checkpoint_folder import CheckpointFolder, FolderUnusable, by_size, notes_of
from app.storage.log_sequence import LogSequence
from app.version import VERSION

audit = AppGroup("audit", help="The audit log.")

MOST_SHOWN = 20
EXPORT_FORMAT = "surefill-audit-export/1"
PROOF_FORMAT = "surefill-audit-proof/1"
# The sequencer signs within seconds; a log that is this old and unsigned has no sequencer, or has lost what it signed.
UNSIGNED_AT_MOST = timedelta(minutes=1)


@audit.command("verify")
@command
def verify_log() -> None:
    """Recompute every hash and the tree of the audit log; exit with status 1 when one does not hold."""
    folder = CheckpointFolder(surroundings().settings.audit_folder)
    with database("compliance") as reader:
        found: Verification = verify(reader)
        broken = len(found.breaks)
        tree = _tree(folder, LogSequence(reader), found)
    for fault in found.breaks[:MOST_SHOWN]:
        click.echo(fault, err=True)
    if len(found.breaks) > MOST_SHOWN:
        click.echo(f"… and {len(found.breaks) - MOST_SHOWN} more", err=True)
    click.echo(f"{found.rows} rows in {found.chains} chains checked: {broken or 'no'} broken")
    click.echo(tree)
    if len(found.breaks) > broken:
        click.echo(f"{len(found.breaks) - broken} findings about what was signed")
    if found.breaks:
        raise SystemExit(1)


def _tree(folder: CheckpointFolder, sequence: LogSequence, found: Verification) -> str:
    """Compare the database's rows with what was signed; one line that sums it up."""
    try:
        if not folder.exists():
            # The sequencer signs as soon as it has made a key, however empty the log is.
            if folder.verification_keys():
                found.breaks.append(f"{folder.folder} has the keys of a log and none of its checkpoints: they are gone")
            elif (begun := sequence.begun_at()) is not None and datetime.now(UTC) - begun > UNSIGNED_AT_MOST:
                found.breaks.append(
                    f"nothing was ever signed of a log that began at {time_text(begun)}: does the sequencer run, and "
                    f"is {folder.folder} its AUDIT_FOLDER? Whoever erases keys and checkpoints leaves this, too"
                )
            return f"no checkpoints in {folder.folder}: only the chains were checked"
        signed = by_size(folder.checkpoints())
        if not signed:
            raise FolderUnusable(f"{folder.folder} has files of checkpoints and no checkpoint in them")
        kept = folder.leaves(max(signed))
    except FolderUnusable as error:
        found.breaks.append(str(error))
        return "the checkpoints do not hold"
    tree, differs = GrowingTree(), False
    for row in sequence.all_hashes():
        leaf = leaf_hash(row.hash)
        if not differs and tree.size < len(kept) and kept[tree.size] != leaf:
            differs = True  # the first one; all that follow it may be right and only in another place
            where = f"transaction {row.place.transaction}, position {row.place.position}"
            found.breaks.append(f"row {tree.size} of the tree ({where}): another row was signed in its place")
        tree.add(leaf)
        checkpoint = signed.get(tree.size)
        if checkpoint is not None and checkpoint.root != tree.root():
            differs = True
            found.breaks.append(f"the first {tree.size} rows are not those signed at {time_text(checkpoint.at)}")
    newest = signed[max(signed)]
    if tree.size < newest.size:
        found.breaks.append(f"{newest.size} rows were signed at {time_text(newest.at)}, the database has {tree.size}")
    later = max(0, tree.size - newest.size)
    return f"{len(signed)} checkpoints of {newest.origin} up to {time_text(newest.at)}; {later} rows are newer"


@audit.command("export")
@click.option("--output", type=click.File("wb", lazy=False), default="-", help="A file; standard output if left out.")
@command
def export(output: IO[Any]) -> None:
    """Write the whole audit log as JSON lines, in the order of its tree."""
    with database("compliance") as reader:
        for line in _lines(LogSequence(reader)):
            output.write(line)


def _lines(sequence: LogSequence) -> Iterator[bytes]:
    first = {"format": EXPORT_FORMAT, "exported_at": time_text(datetime.now(UTC)), "software_version": VERSION}
    yield json.dumps(first, separators=(",", ":")).encode() + b"\n"
    leaf = 0
    for row in sequence.all_rows():
        yield b'{"leaf":%d,"previous_hash":"%s","hash":"%s","row":%s}\n' % (
            leaf, row.previous_hash.hex().encode(), row.hash.hex().encode(), row.encoding,
        )  # fmt: skip
        leaf += 1
    yield b'{"end":true,"rows":%d}\n' % leaf


@audit.command("prove")
@click.argument("order_id", type=click.UUID)
@click.option(
    "--since", "kept", multiple=True, type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A file of checkpoints kept earlier: the proof shows that the log still begins as they say.",
)  # fmt: skip
@click.option("--output", type=click.File("w", lazy=False), default="-", help="A file; standard output if left out.")
@command
def prove(order_id: UUID, kept: tuple[Path, ...], output: IO[Any]) -> None:
    """Prove that an order's rows are in the log that was signed; verified offline."""
    folder = CheckpointFolder(surroundings().settings.audit_folder)
    try:
        newest = folder.newest()
        if newest is None:
            raise click.ClickException(f"there are no checkpoints in {folder.folder}: is the sequencer running?")
        checkpoint, note = newest
        leaves = folder.leaves(checkpoint.size)
    except FolderUnusable as error:
        raise click.ClickException(str(error)) from None
    with database("compliance") as reader:
        rows = LogSequence(reader).of_chain(order_id)
    places = {leaf: place for place, leaf in enumerate(leaves)}
    proved = []
    for row in rows:
        place = places.get(leaf_hash(row.hash))
        if place is None:
            break  # younger than the newest checkpoint, and so is all that follows
        proved.append(
            {
                "leaf": place,
                "previous_hash": row.previous_hash.hex(),
                "hash": row.hash.hex(),
                "row": row.encoding.decode(),
                "inclusion": [node.hex() for node in inclusion_proof(leaves, place)],
            }
        )
    if not proved:
        raise click.ClickException(f"no row of {order_id} is in the log that was signed")
    document = {
        "format": PROOF_FORMAT,
        "order_id": str(order_id),
        "checkpoint": note.whole,
        "rows": proved,
        "consistency": {
            str(size): [node.hex() for node in consistency_proof(leaves, size)]
            for size in sorted(_sizes(kept))
            if 0 < size <= checkpoint.size
        },
    }
    output.write(json.dumps(document, indent=1) + "\n")
    if len(proved) < len(rows):
        click.echo(f"{len(rows) - len(proved)} newer rows are not signed yet: try again in a few seconds", err=True)


def _sizes(kept: tuple[Path, ...]) -> set[int]:
    try:
        return {checkpoint_from(note.text).size for file in kept for note in notes_of(file)[0]}
    except (MalformedCheckpoint, FolderUnusable) as error:
        raise click.ClickException(f"not a file of checkpoints: {error}") from None
