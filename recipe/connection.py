"""The way to the Hub: how long to wait for its answers, and what went wrong, in one line."""

from huggingface_hub import is_offline_mode, set_client_factory
from huggingface_hub.errors import (
    HfHubHTTPError,
    LocalEntryNotFoundError,
    LocalTokenNotFoundError,
    OfflineModeIsEnabled,
)
from huggingface_hub.utils import httpx
from huggingface_hub.utils._http import default_client_factory

OFFLINE = "HF_HUB_OFFLINE=1 forbids it"
MEANINGS = {
    401: "the Hub does not accept the token, or does not show the repository to it",
    403: "the token has no right to do this: it needs the role `write`, for this repository or its owner",
    404: "there is no such repository or revision, or the token does not see it",
    409: "another change of the repository is under way",
    429: "too many requests: try again later",
}


def limit_silence(seconds: float) -> None:
    """Let no request to the Hub wait longer than `seconds` for the next byte; huggingface_hub's default is for ever."""

    def make_client() -> httpx.Client:
        client = default_client_factory()
        client.timeout = httpx.Timeout(seconds)
        return client

    set_client_factory(make_client)


def explain(error: BaseException) -> str:
    """One line on why a request to the Hub failed."""
    if isinstance(error, OfflineModeIsEnabled):
        return OFFLINE
    if isinstance(error, LocalTokenNotFoundError):
        return "no token: log in with `hf auth login`, or set HF_TOKEN"
    if isinstance(error, HfHubHTTPError):
        status = error.response.status_code
        meaning = MEANINGS.get(status, error.response.reason_phrase)
        return f"{status}, {meaning}" + (f" ({_first_line(error.server_message)})" if error.server_message else "")
    if isinstance(error, httpx.TimeoutException):
        return "no answer in time"
    if isinstance(error, httpx.TransportError):
        return f"no connection: {_first_line(str(error))}"
    if isinstance(error, RuntimeError) and error.__cause__:  # the upload of a file, which wraps any of the above
        return f"{_first_line(str(error))} {explain(error.__cause__)}"
    if isinstance(error, ValueError):  # metadata that the Hub does not accept, listed line by line
        return " ".join(str(error).split())
    return _first_line(str(error)) or type(error).__name__


def explain_download(error: BaseException, otherwise: str) -> str:
    """One line on why something could not be fetched; where the Hub is out of reach, what helps, or `otherwise`."""
    causes = [error]
    while following := causes[-1].__cause__ or causes[-1].__context__:
        causes.append(following)
    if not any(isinstance(cause, LocalEntryNotFoundError | ConnectionError | httpx.TransportError) for cause in causes):
        return _first_line(str(error))
    answers = [cause for cause in causes if isinstance(cause, HfHubHTTPError | httpx.TransportError)]
    reason = OFFLINE if is_offline_mode() else explain(answers[-1]) if answers else "no connection"
    return (
        f"not in the cache, and the Hub is out of reach ({reason}): run this once where there is a network (HF_HOME "
        f"holds the cache), or {otherwise}"
    )


def _first_line(text: str) -> str:
    return next((line.strip() for line in text.splitlines() if line.strip()), "")
