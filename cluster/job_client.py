"""The way to a Ray cluster's job API: its address, the token or headers it asks for, and errors a user can act on."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from cluster.errors import InputError, ShopreelError
from cluster.runtime import export_environment

if TYPE_CHECKING:
    from ray.job_submission import JobSubmissionClient


class JobFailedError(ShopreelError):
    """Ray could not run the command at all (its environment failed, a node was lost, the cluster went away)."""


def connect(address: str, env: Mapping[str, str] | None = None) -> JobSubmissionClient:
    """A client of the cluster's job API. `address` is the dashboard's URL, usually http://HEAD:8265.

    Raises InputError for an address that is no URL, JobFailedError where no cluster answers or lets us in.
    """
    export_environment()
    from ray.job_submission import JobSubmissionClient

    if not address.startswith(("http://", "https://")):
        raise InputError(f"--address is {address!r}; give the URL of the cluster's dashboard, such as http://HEAD:8265")
    for name in ("ray", "ray.dashboard.modules.dashboard_sdk", "ray.dashboard.modules.job.sdk"):
        logging.getLogger(name).setLevel(logging.WARNING)
    headers = headers_from(os.environ if env is None else env)
    with reaching(address):
        return JobSubmissionClient(address, headers=headers)


def headers_from(env: Mapping[str, str]) -> dict[str, str]:
    """What every request carries: RAY_JOB_HEADERS (JSON, for proxies) and the token of RAY_AUTH_TOKEN[_PATH]."""
    headers: dict[str, str] = {}
    if env.get("RAY_JOB_HEADERS"):
        try:
            headers = json.loads(env["RAY_JOB_HEADERS"])
        except json.JSONDecodeError as error:
            raise InputError(f'RAY_JOB_HEADERS is not JSON ({error}); write \'{{"NAME": "VALUE"}}\'') from error
        if not isinstance(headers, dict) or not all(isinstance(value, str) for value in headers.values()):
            raise InputError('RAY_JOB_HEADERS must map names to texts, such as \'{"NAME": "VALUE"}\'')
    token = env.get("RAY_AUTH_TOKEN", "").strip() or _token_of(env.get("RAY_AUTH_TOKEN_PATH"))
    if token and not token.isascii():
        raise InputError("the token of RAY_AUTH_TOKEN[_PATH] has characters that no token has; give it as it was made")
    if token and not any(name.lower() == "authorization" for name in headers):
        headers["Authorization"] = f"Bearer {token}"
    return headers


def _token_of(path: str | None) -> str | None:
    if not path:
        return None
    try:
        return Path(path).read_text().strip()
    except OSError as error:
        raise InputError(f"RAY_AUTH_TOKEN_PATH is {path}, which cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"RAY_AUTH_TOKEN_PATH is {path}, which is not text; name the file of the token") from error


@contextmanager
def reaching(cluster: JobSubmissionClient | str) -> Iterator[None]:
    """Errors of the network and of the job API become a JobFailedError that says what to do."""
    from ray.exceptions import AuthenticationError

    address = cluster if isinstance(cluster, str) else cluster.get_address()
    try:
        yield
    except AuthenticationError as error:
        raise JobFailedError(
            f"the cluster at {address} asks for a token; set RAY_AUTH_TOKEN, or RAY_AUTH_TOKEN_PATH to its file "
            f"({str(error).splitlines()[0]})"
        ) from error
    except OSError as error:
        raise JobFailedError(f"no Ray cluster answers at {address}; check --address ({error})") from error
    except RuntimeError as error:
        raise JobFailedError(f"the cluster at {address} refused: {error}") from error
