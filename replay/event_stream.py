"""Server-sent events, as a provider streams an answer. There is no socket here."""

from __future__ import annotations

from collections.abc import Iterable

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class EventStream:
    """Server-sent events, read from bytes cut anywhere. Only the data matters; names, ids and comments do not."""

    __slots__ = ("_after_cr", "_data", "_started", "_tail")

    def __init__(self) -> None:
        self._tail = bytearray()
        self._data: list[bytes] = []
        self._after_cr = False
        self._started = False

    def feed(self, data: bytes) -> list[bytes]:
        """Take the next bytes; give the data of the events that they complete."""
        if self._after_cr and data:  # the second half of a CRLF
            self._after_cr = False
            data = data.removeprefix(b"\n")
        if b"\r" in data:
            self._after_cr = data.endswith(b"\r")
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        if b"\n" not in data:  # joined only when a line ends: a huge line in small pieces costs linear time
            self._tail += data
            return []
        *lines, tail = (bytes(self._tail) + data if self._tail else data).split(b"\n")
        self._tail = bytearray(tail)
        if not self._started:
            self._started = True
            lines[0] = lines[0].removeprefix(_BYTE_ORDER_MARK)
        return self._events(lines)

    def end(self) -> list[bytes]:
        """The stream is over. Some providers leave out the empty line after the last event."""
        return self.feed(b"\n\n")

    def _events(self, lines: Iterable[bytes]) -> list[bytes]:
        events: list[bytes] = []
        for line in lines:
            if line.startswith(b"data:"):
                self._data.append(line[6:] if line[5:6] == b" " else line[5:])
            elif not line and self._data:
                event = self._data[0] if len(self._data) == 1 else b"\n".join(self._data)
                self._data = []
                if event:  # some providers keep a connection alive with empty ones
                    events.append(event)
        return events
