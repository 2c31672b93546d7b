"""What happened in one run, line by line: for a person to read, and to compare two runs by."""

from __future__ import annotations

from hashlib import sha256


class History:
    """Lines of (virtual seconds, who, what)."""

    def __init__(self) -> None:
        self._lines: list[tuple[float, str, str]] = []

    def add(self, at: float, who: str, what: str) -> None:
        self._lines.append((at, who, what))

    def __len__(self) -> int:
        return len(self._lines)

    def text(self, about: str | None = None) -> str:
        """All lines, or those that speak of an order (the end of its id) or of the world."""
        return "\n".join(
            _line(*each) for each in self._lines if about is None or about in each[2] or each[1] == "world"
        )

    def digest(self) -> str:
        """The same for two runs exactly when they went the same way."""
        return sha256("\n".join(_line(*each) for each in self._lines).encode()).hexdigest()


def _line(at: float, who: str, what: str) -> str:
    return f"{at:12.6f}  {who:<12}  {what}"


def short(identifier: object) -> str:
    """The end of an id: enough to tell the orders of one run apart."""
    return str(identifier)[-6:]
