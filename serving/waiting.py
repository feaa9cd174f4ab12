"""What replicas that do not come up wait for: Serve says so in its controller's log, where nobody looks at a start."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

logger = logging.getLogger("ray.serve")

LOOK_EVERY_S = 2.0


@contextmanager
def said_aloud(app_name: str) -> Iterator[None]:
    """While the block runs, warn once of each deployment of the application whose replicas are not placed or slow to
    start, such as one that asks for a GPU that others hold.
    """
    over, told = threading.Event(), set()

    def watch() -> None:
        from ray import serve
        from ray.exceptions import RayError
        from ray.serve.exceptions import RayServeException

        while not over.wait(LOOK_EVERY_S):
            try:
                application = serve.status().applications.get(app_name)
            except (RayError, RayServeException) as error:  # the start itself says what became of it
                logger.warning("cannot ask Serve what the start of %s waits for: %s", app_name, error)
                return
            for name, status in application.deployments.items() if application else ():
                kind = name, status.message.partition("Resources required")[0]  # what is free changes all the time
                if status.status == "UPDATING" and status.message and kind not in told:
                    told.add(kind)
                    logger.warning(status.message)

    watcher = threading.Thread(target=watch, name="waiting", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()
