"""A store in a bucket (S3, GCS, Azure and what speaks like them): create is put-if-absent.

S3 sends `If-None-Match: *` (RFC 9110, 13.1.2), GCS generation 0. Creates are never repeated in
here or by the client: when a reply is lost nobody knows what happened, until the caller repeats the
create; then an object with our bytes means that the first attempt arrived.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from itertools import takewhile
from pathlib import Path
from typing import Annotated, Any

import obstore
from msgspec import Meta, Struct, field
from obstore.exceptions import (
    AlreadyExistsError,
    BaseError,
    NotSupportedError,
    PermissionDeniedError,
    PreconditionError,
    UnauthenticatedError,
)
from obstore.store import ObjectStore, from_url

from daemon.ports import EXIT_CONFIG, EXIT_DEPENDENCY, EXIT_WRITE, Fatal, Missing, Retry, Store
from daemon.stores import check_name, is_segment

Reference = Annotated[str, Meta(pattern=r"^(env:[A-Za-z_][A-Za-z0-9_]*|file:.+)$")]


class Options(Struct, frozen=True, forbid_unknown_fields=True):
    """Where the bucket is.

    `url`: s3://bucket/prefix, gs://bucket/prefix or az://account/container/prefix. `credentials`:
    names as the client has them (access_key_id, secret_access_key, token, service_account_key ...)
    to "env:NAME" or "file:/path"; empty: what the platform gives (workload identity, AWS_ and other
    variables). `endpoint`, `region`, `path_style`: for S3 alone. `timeout_s`: of one request.
    """

    url: Annotated[str, Meta(pattern=r"^(s3|s3a|gs|az|azure|abfs|abfss)://[^@?#]+$")]
    endpoint: str | None = None
    region: str | None = None
    path_style: bool = True
    allow_http: bool = False
    credentials: dict[str, Reference] = field(default_factory=dict)
    timeout_s: Annotated[float, Meta(gt=0, le=600)] = 30.0
    read_retries: Annotated[int, Meta(ge=0, le=20)] = 3


def build(options: Options) -> Store:
    """The store at `options.url`. Touches no network. Raises Fatal for what cannot be right."""
    config: Any = {key: _secret(key, ref) for key, ref in options.credentials.items()}
    if options.url.startswith("s3"):
        config["virtual_hosted_style_request"] = not options.path_style
    given = {"endpoint": options.endpoint, "region": options.region}
    config |= {key: value for key, value in given.items() if value is not None}
    timeout = timedelta(seconds=options.timeout_s)
    http: Any = {"allow_http": options.allow_http, "timeout": timeout}

    def client(retries: int) -> ObjectStore:
        retry: Any = {"max_retries": retries, "retry_timeout": timeout}
        store: ObjectStore = from_url(
            options.url, config=config, client_options=http, retry_config=retry
        )
        return store

    try:
        return BucketStore(client(0), client(options.read_retries))
    except (BaseError, ValueError):
        # Their messages may repeat what was configured, secrets too.
        hint = "Check url, endpoint, region and the names under credentials"
        raise Fatal("the bucket is misconfigured", code=EXIT_CONFIG, hint=hint) from None


def _secret(key: str, reference: str) -> str:
    kind, _, where = reference.partition(":")
    try:
        text = os.environ[where] if kind == "env" else Path(where).read_text("utf-8")
    except (KeyError, OSError, UnicodeDecodeError):
        hint = "Set the variable or mount the file that it names"
        raise Fatal(f"the credential {key} is absent", code=EXIT_CONFIG, hint=hint) from None
    if not text.strip():
        raise Fatal(f"the credential {key} is empty", code=EXIT_CONFIG)
    return text.strip()  # files end with a line feed more often than not


@contextmanager
def _named_errors(doing: str, code: int) -> Iterator[None]:
    """The client's errors as what the caller does. Their texts hold addresses: cause only."""
    try:
        yield
    except (PermissionDeniedError, UnauthenticatedError) as error:
        hint = "Check the credentials and that they may get, put and list under the prefix"
        raise Fatal(f"the bucket refuses us to {doing}", code=code, hint=hint) from error
    except NotSupportedError as error:
        hint = "Use a bucket with put-if-absent"
        raise Fatal(f"the bucket cannot {doing}", code=EXIT_DEPENDENCY, hint=hint) from error
    except (BaseError, OSError) as error:
        raise Retry(f"the bucket did not answer as it should when asked to {doing}") from error


class BucketStore:
    """`writer` never repeats a request; `reader` may."""

    def __init__(self, writer: ObjectStore, reader: ObjectStore) -> None:
        self._writer, self._reader = writer, reader
        self._unsure: set[str] = set()  # creates whose reply was lost

    def create(self, name: str, data: bytes) -> bool:
        check_name(name)
        try:
            with _named_errors("create", EXIT_WRITE):
                created = self._put(name, data)
        except Retry:
            self._unsure.add(name)
            raise
        if not created:
            created = self._arrived(name, data)
        self._unsure.discard(name)
        return created

    def efface(self, name: str, before: bytes, stub: bytes) -> bool:
        """By the tag of what was compared: `If-Match` on S3, a generation on GCS."""
        check_name(name)
        with _named_errors("efface", EXIT_WRITE):
            try:
                found = obstore.get(self._reader, name)
            except FileNotFoundError:
                raise Missing(name) from None
            data, meta = bytes(found.bytes()), found.meta
            if data != before or before == stub:
                return data == stub  # an answer that was lost is one that arrived
            tags = {"e_tag": meta["e_tag"], "version": meta["version"]}
            mode: Any = {name: tag for name, tag in tags.items() if tag is not None}
            try:
                obstore.put(self._writer, name, stub, mode=mode, use_multipart=False)
            except (AlreadyExistsError, PreconditionError):
                return self.get(name) == stub
        return True

    def get(self, name: str) -> bytes:
        check_name(name)
        with _named_errors("get", EXIT_DEPENDENCY):
            try:
                return bytes(obstore.get(self._reader, name).bytes())
            except FileNotFoundError:
                raise Missing(name) from None

    def list(self, prefix: str, after: str = "") -> Iterator[str]:
        folder, _, rest = prefix.rpartition("/")
        known = all(map(is_segment, folder.split("/") if folder else ()))
        if not known or not is_segment(f"{rest}_"):
            return  # no name begins so
        # The client knows prefixes of whole segments only, and rewrites what is not a name.
        start = max(prefix[:-1] if rest else "", after)
        offset = "/".join(takewhile(is_segment, start.split("/"))) or None
        last = ""
        with _named_errors("list", EXIT_DEPENDENCY):
            for page in obstore.list(self._reader, folder or None, offset=offset, chunk_size=1000):
                for name in (meta["path"] for meta in page):
                    if name <= last:
                        hint = "Use a bucket that lists in order (no S3 directory bucket)"
                        raise Fatal("names come unsorted", code=EXIT_DEPENDENCY, hint=hint)
                    last = name
                    if name.startswith(prefix) and name > after:
                        yield name
                    elif name > prefix and not name.startswith(prefix):
                        return

    def _put(self, name: str, data: bytes) -> bool:
        try:
            obstore.put(self._writer, name, data, mode="create", use_multipart=False)
        except (AlreadyExistsError, PreconditionError):
            return False
        except FileNotFoundError as error:
            hint = "Create it, or correct the url"
            raise Fatal("there is no such bucket", code=EXIT_DEPENDENCY, hint=hint) from error
        return True

    def _arrived(self, name: str, data: bytes) -> bool:
        """True: what has the name is what an earlier attempt of ours brought.

        S3 also answers so (409) while another create of the name runs, which may yet fail: only an
        object that is there makes the answer final.
        """
        try:
            if name in self._unsure:
                return self.get(name) == data
            with _named_errors("look", EXIT_DEPENDENCY):
                obstore.head(self._reader, name)
        except (Missing, FileNotFoundError):
            raise Retry("another create of the name is under way") from None
        return False
