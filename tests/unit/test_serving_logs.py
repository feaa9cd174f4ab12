"""What a replica logs."""

from __future__ import annotations

import logging
from logging.handlers import MemoryHandler
from pathlib import Path

from serving import logs


def test_a_warning_is_written_at_once_with_what_came_before_it(tmp_path: Path) -> None:
    logger, file = logging.getLogger("ray.serve"), tmp_path / "replica.log"
    buffer = MemoryHandler(100, target=logging.FileHandler(file))
    logger.addHandler(buffer)
    try:
        logs.write_warnings_at_once()
        buffer.handle(logging.makeLogRecord({"msg": "GET /healthz", "levelno": logging.INFO}))
        assert file.read_text() == ""
        buffer.handle(logging.makeLogRecord({"msg": "no GPU here", "levelno": logging.WARNING}))
        assert file.read_text() == "GET /healthz\nno GPU here\n"
    finally:
        logger.removeHandler(buffer)
        buffer.target.close()
