"""A file that TensorBoard reads: records of its format, appended one by one, each on disk before the next.

The messages are TensorBoard's own; the frame around each is that of its record format: length, checksum of the length,
content, checksum of the content. Writing frames here takes a third of the time that importing its writer does.
"""

import os
import struct
import time
from pathlib import Path

from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary

MARK = "tfevents"  # TensorBoard reads the files that have this in their name
POLYNOMIAL = 0x82F63B78  # of CRC-32C, bits reversed


def _table() -> list[int]:
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (POLYNOMIAL if byte & 1 else 0)
        table.append(byte)
    return table


TABLE = _table()


class EventFile:
    """A new event file in `folder`. It tells a reader to forget what earlier files of the folder said.

    Errors of this class and its methods: `OSError` of the file system.
    """

    def __init__(self, folder: Path):
        folder.mkdir(parents=True, exist_ok=True)
        now = time.time()
        self.file = open(folder / f"events.out.{MARK}.{now:.6f}.{os.getpid()}", "xb")  # noqa: SIM115 (open for hours)
        self._write(Event(wall_time=now, file_version="brain.Event:2"))
        self._write(Event(wall_time=now, step=0, session_log=SessionLog(status=SessionLog.START)))

    def scalars(self, values: dict[str, float], *, step: int, wall_time: float) -> None:
        """One point of every curve in `values`, tag -> value; kept as float32. `wall_time`: seconds since 1970."""
        summary = Summary(value=[Summary.Value(tag=tag, simple_value=value) for tag, value in values.items()])
        self._write(Event(wall_time=wall_time, step=step, summary=summary))

    def image(self, tag: str, png: bytes, size: tuple[int, int], *, step: int, wall_time: float) -> None:
        """A picture, encoded as PNG; `size`: (width, height) in pixels."""
        width, height = size
        image = Summary.Image(width=width, height=height, colorspace=3, encoded_image_string=png)
        summary = Summary(value=[Summary.Value(tag=tag, image=image)])
        self._write(Event(wall_time=wall_time, step=step, summary=summary))

    def close(self) -> None:
        self.file.close()

    def _write(self, event: Event) -> None:
        content = event.SerializeToString()
        length = struct.pack("<Q", len(content))
        self.file.write(length + _checksum(length) + content + _checksum(content))
        self.file.flush()


def _checksum(content: bytes) -> bytes:
    """CRC-32C of `content`, masked as the record format wants it (rotated, a constant added), 4 bytes."""
    crc = 0xFFFFFFFF
    for byte in content:
        crc = crc >> 8 ^ TABLE[(crc ^ byte) & 0xFF]
    crc ^= 0xFFFFFFFF
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)
