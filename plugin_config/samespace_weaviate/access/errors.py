"""Foreign errors as ours: the one place where those of weaviate-client are read.

An outage is `WeaviateUnavailable` and everything else `WeaviateError`; the message keeps Weaviate's own words.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from samespace.errors import WeaviateError, WeaviateUnavailable

from .transient import code_may_pass, status_may_pass


@contextmanager
def translated(where: str) -> Iterator[None]:
    """Errors of weaviate-client, and of the libraries below it that it lets through, as ours.

    Raises:
        WeaviateUnavailable: nothing answers, or what was answered is an outage.
        WeaviateError: Weaviate refused.
    """
    import httpx
    from authlib.common.errors import AuthlibBaseError

    from weaviate import exceptions as theirs

    try:
        yield
    except theirs.WeaviateGRPCUnavailableError as error:
        reason = (
            "its gRPC port does not answer; set --grpc-port or WEAVIATE_GRPC_PORT. Weaviate's client says: "
            f"{_words(error)}"
        )
        raise WeaviateUnavailable(address=where, reason=reason) from error
    except theirs.WeaviateBaseError as error:
        if "Meta endpoint! Unexpected status code: 404" in error.message:  # an encoder server has this port by default
            reason = "what answers there is no Weaviate; set --url or WEAVIATE_URL (`samespace serve` takes 8080 too)"
            raise WeaviateUnavailable(address=where, reason=reason) from error
        if is_outage(error):
            raise WeaviateUnavailable(address=where, reason=_words(error)) from error
        raise WeaviateError(f"{where}: Weaviate refused: {_words(error)}") from error
    except AuthlibBaseError as error:
        raise WeaviateError(f"{where}: the login was refused: {_words(error)}") from error
    except (httpx.HTTPError, OSError) as error:
        raise WeaviateUnavailable(address=where, reason=_words(error) or type(error).__name__) from error


def is_outage(error: BaseException) -> bool:
    """Whether an error of weaviate-client comes of an outage and not of a refusal.

    The client hides gRPC's code from most of its errors, but not from what they were raised of.
    """
    import grpc

    from weaviate import exceptions as theirs

    if isinstance(error, theirs.WeaviateClosedClientError):
        return False  # our own mistake, which no waiting mends
    if isinstance(
        error,
        theirs.WeaviateConnectionError
        | theirs.WeaviateStartUpError
        | theirs.WeaviateTimeoutError
        | theirs.WeaviateRetryError,
    ):
        return True
    if isinstance(error, theirs.UnexpectedStatusCodeError) and status_may_pass(error.status_code):
        return True
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, grpc.RpcError) and isinstance(seen, grpc.Call):
            return code_may_pass(seen.code().name, seen.details() or "")
        seen = seen.__cause__ or seen.__context__
    return False


def _words(error: BaseException) -> str:
    return " ".join(str(getattr(error, "message", None) or error).split())
