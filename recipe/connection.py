"""Requests to the Hub: how long to wait for an answer, and why a request failed, in one line."""

from huggingface_hub import is_offline_mode, set_client_factory
from huggingface_hub.errors import (
    HfHubHTTPError,
    LocalEntryNotFoundError,
    LocalTokenNotFoundError,
    OfflineModeIsEnabled,
)
from huggingface_hub.utils import httpx
from huggingface_hub.utils._http import default_client_factory

OFFLINE = "HF_HUB_OFFLINE=1 is set"
MEANINGS = {
    401: "the token is not valid, or has no access to the repository",
    403: "the token has no permission to do this: it needs the role `write` for this repository or its owner",
    404: "the repository or revision does not exist, or the token has no access to it",
    409: "the repository is being changed by another request",
    429: "too many requests: try again later",
}


def limit_silence(seconds: float) -> None:
    """Abandon requests to the Hub that receive no byte for `seconds`. By default huggingface_hub waits forever."""

    def make_client() -> httpx.Client:
        client = default_client_factory()
        client.timeout = httpx.Timeout(seconds)
        return client

    set_client_factory(make_client)


def explain(error: BaseException) -> str:
    """The reason why a request to the Hub failed, in one line."""
    if isinstance(error, OfflineModeIsEnabled):
        return OFFLINE
    if isinstance(error, LocalTokenNotFoundError):
        return "no token: log in with `hf auth login`, or set HF_TOKEN"
    if isinstance(error, HfHubHTTPError):
        status = error.response.status_code
        meaning = MEANINGS.get(status, error.response.reason_phrase)
        return f"{status}, {meaning}" + (f" ({_first_line(error.server_message)})" if error.server_message else "")
    if isinstance(error, httpx.TimeoutException):
        return "the Hub did not answer in time"
    if isinstance(error, httpx.TransportError):
        return f"no connection: {_first_line(str(error))}"
    if isinstance(error, RuntimeError) and error.__cause__:  # raised by file uploads, which wrap any of the above
        return f"{_first_line(str(error))} {explain(error.__cause__)}"
    if isinstance(error, ValueError):  # metadata that the Hub does not accept, one problem a line
        return " ".join(str(error).split())
    return _first_line(str(error)) or type(error).__name__


def explain_download(error: BaseException, otherwise: str) -> str:
    """The reason why a download failed, in one line, and what to do if the Hub cannot be reached.

    otherwise: what the user can do instead of downloading.
    """
    causes = [error]
    while following := causes[-1].__cause__ or causes[-1].__context__:
        causes.append(following)
    if not any(isinstance(cause, LocalEntryNotFoundError | ConnectionError | httpx.TransportError) for cause in causes):
        return _first_line(str(error))
    answers = [cause for cause in causes if isinstance(cause, HfHubHTTPError | httpx.TransportError)]
    reason = OFFLINE if is_offline_mode() else explain(answers[-1]) if answers else "no connection"
    return (
        f"not in the cache, and the Hub cannot be reached ({reason}): run this once with a network connection (HF_HOME "
        f"is the cache folder), or {otherwise}"
    )


def _first_line(text: str) -> str:
    return next((line.strip() for line in text.splitlines() if line.strip()), "")
