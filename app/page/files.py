"""The page's own files, read once: their content, its hash, and both forms in which they travel.

Their addresses hold one hash of all of them, so that modules import each other by relative paths, no build step is
needed, and a browser keeps them for good: another version of any file is another address for all.
"""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path, PurePosixPath

TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".woff2": "font/woff2",
}
"""What is served; a file of another kind in the folder is not."""
_COMPRESSED_ALREADY = (".woff2",)

# `import … from "./x.js"` and `import "./x.js"`; modules are written without any other way of import.
_IMPORT = re.compile(r"""^\s*(?:import|export)\b[^"';]*?["'](\.{1,2}/[^"']+)["']""", re.MULTILINE)


@dataclass(frozen=True)
class PageFile:
    """One file as it is served."""

    content: bytes
    content_type: str
    etag: str
    is_compressed_already: bool = False

    @cached_property
    def gzipped(self) -> bytes | None:
        """The content compressed; None where that saves nothing."""
        if self.is_compressed_already:
            return None
        packed = gzip.compress(self.content, compresslevel=9, mtime=0)
        return packed if len(packed) < len(self.content) else None

    @property
    def size_on_the_wire(self) -> int:
        """Bytes, to a browser that takes gzip."""
        return len(self.gzipped or self.content)


class PageFiles:
    """The files below one folder by their path, with `/`."""

    def __init__(self, folder: Path) -> None:
        self._files: Mapping[str, PageFile] = dict(_read(folder))
        digest = sha256()
        for path, file in self._files.items():
            digest.update(f"{path}\0{file.etag}\0".encode())
        self.version = digest.hexdigest()[:16]
        """Of all files together."""

    def get(self, path: str) -> PageFile | None:
        """A file, or None: only what was in the folder at the start is ever served."""
        return self._files.get(path)

    def paths(self) -> list[str]:
        return list(self._files)

    def modules_of(self, entry: str) -> list[str]:
        """The entry module and all that it imports, directly or not: what a browser may fetch at once."""
        found: dict[str, None] = {}
        waiting = [entry]
        while waiting:
            path = waiting.pop(0)
            if path in found:
                continue
            file = self._files.get(path)
            if file is None:
                raise FileNotFoundError(f"a module of {entry} imports {path}, which is not there")
            found[path] = None
            waiting.extend(_resolved(path, name) for name in _IMPORT.findall(file.content.decode()))
        return list(found)


def _read(folder: Path) -> Iterator[tuple[str, PageFile]]:
    for path in sorted(folder.rglob("*")):
        if path.suffix in TYPES and path.is_file():
            content = path.read_bytes()
            yield (
                path.relative_to(folder).as_posix(),
                PageFile(
                    content,
                    TYPES[path.suffix],
                    sha256(content).hexdigest()[:24],
                    path.suffix in _COMPRESSED_ALREADY,
                ),
            )


def _resolved(importer: str, name: str) -> str:
    parts: list[str] = []
    for part in (PurePosixPath(importer).parent / name).parts:
        if part == "..":
            parts.pop()
        elif part != ".":
            parts.append(part)
    return "/".join(parts)
