"""Events as the bytes of WebSocket text frames.

A server's frames carry no mask and no compression is agreed on, so an event is the same bytes for every socket: it is
framed once, and a page of events is one write. The stored JSON text goes out as it is, never decoded.
"""

from __future__ import annotations

from collections.abc import Iterable

from engineio import packet

_FINAL_TEXT = 0x81
# Engine.IO "message" 4, Socket.IO "event" 2, default namespace (which is not named), no acknowledgement asked for.
_EVENT = b"42"


def text_frame(text: bytes) -> bytes:
    """One whole WebSocket text message (RFC 6455, 5.2) of UTF-8 `text`."""
    size = len(text)
    if size < 126:
        return bytes((_FINAL_TEXT, size)) + text
    if size < 1 << 16:
        return bytes((_FINAL_TEXT, 126)) + size.to_bytes(2, "big") + text
    return bytes((_FINAL_TEXT, 127)) + size.to_bytes(8, "big") + text


def order_frame(event: bytes) -> bytes:
    """The server event `order` with a JSON document."""
    return text_frame(b'%b["order",%b]' % (_EVENT, event))


def ready_frame(head_seq: int) -> bytes:
    """The server event `ready`: how many events there were when the connection began."""
    return text_frame(b'%b["ready",{"head_seq":%d}]' % (_EVENT, head_seq))


class Framed(packet.Packet):  # type: ignore[misc] # engineio has no types
    """Frames in an Engine.IO queue. It encodes to bytes, which this server uses for nothing else."""

    def __init__(self, frames: bytes) -> None:
        super().__init__(packet.MESSAGE)
        self._frames = frames

    def encode(self, b64: bool = False) -> bytes:
        """The frames as they are."""
        return self._frames


def joined(frames: Iterable[bytes]) -> Framed:
    """Several frames as one write."""
    return Framed(b"".join(frames))
