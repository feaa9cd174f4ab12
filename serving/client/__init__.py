"""A typed client of a running shopreel: `from serving.client import ShopClient`. Needs neither torch nor Ray."""

from serving.client.errors import (
    AccessError,
    BusyError,
    ClientError,
    DeadlineError,
    GatewayError,
    InvalidError,
    MissingError,
    ProblemError,
    ServerError,
    UnavailableError,
    UnreachableError,
)
from serving.client.shop import ShopClient
from serving.client.types import Clip, ClipStream, Status
from serving.client.wire import RetryConfig
from serving.messages import (
    ClipNews,
    ClipRequest,
    ErasureReceipt,
    EventIn,
    EventsStored,
    Feed,
    Hosts,
    JobOut,
    Similar,
    Slate,
)

__all__ = [
    "AccessError",
    "BusyError",
    "ClientError",
    "Clip",
    "ClipNews",
    "ClipRequest",
    "ClipStream",
    "DeadlineError",
    "ErasureReceipt",
    "EventIn",
    "EventsStored",
    "Feed",
    "GatewayError",
    "Hosts",
    "InvalidError",
    "JobOut",
    "MissingError",
    "ProblemError",
    "RetryConfig",
    "ServerError",
    "ShopClient",
    "Similar",
    "Slate",
    "Status",
    "UnavailableError",
    "UnreachableError",
]
