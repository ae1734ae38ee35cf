"""A template: the administration of replication over HTTP, in FastAPI. Copy it, and take away what you do not need.

    pip install kitedb fastapi uvicorn
    KITEDB_PATH=social.kitedb REPLICATION_ADMIN_TOKEN=... python replication_adapter_python_fastapi.py
    uvicorn replication_adapter_python_fastapi:app --no-proxy-headers --workers 4

| route under ``/replication`` | | answer |
|---|---|---|
| GET ``/status`` | open to everybody | role and positions; paths, names and errors only for whom the authorizer admits |
| GET ``/metrics/prometheus`` | | Prometheus text |
| GET ``/metrics/otel-json`` | | OTLP in JSON |
| GET ``/transport/snapshot`` | ``include_data=true`` | a snapshot, of at most 32 MiB where its data is included |
| GET ``/transport/log`` | ``cursor``, ``max_frames``, ``max_bytes``, ``include_payload`` | a page of the log |
| POST ``/pull`` | ``{"max_frames": 256}`` | a replica catches up |
| POST ``/reseed``, ``/promote`` | | the runbook's sections 5 and 4 |

A replica follows its source while the application runs. Of several workers one leads: a file is written by one process at a time. The
others find it locked, say so, and serve what is read, of the newest state that is in the file; ``/pull``, ``/reseed`` and ``/promote``
are refused there with 503 and are to be asked again, of the worker that leads.

| variable | |
|---|---|
| ``KITEDB_PATH`` | the database; default ``social.kitedb`` |
| ``KITEDB_REPLICATION_ROLE`` | ``primary`` (default), ``replica`` or ``disabled`` |
| ``KITEDB_REPLICATION_SIDECAR`` | where its log is; default beside it |
| ``KITEDB_REPLICATION_SOURCE`` | for a replica: the database file that it follows |
| ``REPLICATION_ADMIN_AUTH_MODE`` | ``none``, ``token``, ``mtls``, ``token_or_mtls``, ``token_and_mtls``; default ``token``, and ``token_or_mtls`` with proxies |
| ``REPLICATION_ADMIN_TOKEN`` | for the modes with a token |
| ``REPLICATION_TRUSTED_PROXIES`` | for those with certificates: who tells of them (addresses, networks, ``loopback``, with commas between them) |
| ``REPLICATION_MTLS_HEADER``, ``REPLICATION_MTLS_SUBJECT_REGEX`` | the header that tells, and whose certificate is admitted |
| ``HOST``, ``PORT`` | default ``127.0.0.1`` and 8080 |
"""

import json
import logging
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Annotated, Any

import kitedb
import kitedb.aio
from fastapi import APIRouter, Depends, FastAPI, HTTPException, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from kitedb.replication_auth import (
    ReplicationAdminAuthConfig,
    ReplicationAdminAuthError,
    ReplicationAdminAuthorizer,
    create_replication_admin_authorizer,
)
from pydantic import BaseModel, Field, ValidationError
from starlette.exceptions import HTTPException as StarletteHTTPException

log = logging.getLogger("uvicorn.error")

MAX_BODY = 2 * 1024 * 1024

CODES = {403: "FORBIDDEN", 404: "NO_SUCH_ROUTE", 405: "NO_SUCH_METHOD", 413: "TOO_LARGE", 503: "LOCKED"}
"""What an answer says for programs that is none of the database."""


def admin_auth_from(env: Mapping[str, str]) -> ReplicationAdminAuthConfig:
    """Whom to admit, as the runbook's variables say."""

    def text(name: str) -> str | None:
        return env.get(name, "").strip() or None

    proxies = text("REPLICATION_TRUSTED_PROXIES")
    mode = text("REPLICATION_ADMIN_AUTH_MODE") or ("token_or_mtls" if proxies else "token")
    if "mtls" in mode.lower() and proxies is None:
        raise ValueError(
            "REPLICATION_TRUSTED_PROXIES must name the proxies that tell of certificates (addresses, networks, loopback): every client "
            "can send the header that they set"
        )
    return ReplicationAdminAuthConfig(
        mode=mode,  # type: ignore[arg-type]  # The authorizer knows the modes, and refuses what is none.
        token=text("REPLICATION_ADMIN_TOKEN"),
        mtls_header=text("REPLICATION_MTLS_HEADER"),
        mtls_subject_regex=text("REPLICATION_MTLS_SUBJECT_REGEX"),
        trusted_proxies="any" if proxies == "any" else proxies.split(",") if proxies else None,
    )


def options_from(env: Mapping[str, str]) -> kitedb.OpenOptions:
    """How the database is opened."""
    return kitedb.OpenOptions(
        replication_role=env.get("KITEDB_REPLICATION_ROLE") or "primary",  # type: ignore[arg-type]  # The open refuses what is none.
        replication_sidecar_path=env.get("KITEDB_REPLICATION_SIDECAR") or None,
        replication_source_db_path=env.get("KITEDB_REPLICATION_SOURCE") or None,
    )


class Node:
    """The database of a worker: the one that leads has it open; any other opens it for each request, as what is opened for reading
    shows one state."""

    def __init__(self, path: str, options: kitedb.OpenOptions) -> None:
        self.path, self.options = path, options
        self.leading: kitedb.aio.Database | None = None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """For as long as the application runs. A replica that is new copies its source first."""
        try:
            self.leading = await kitedb.aio.open(self.path, self.options)
        except kitedb.LockedError:
            log.warning("worker %d only reads %s: another process leads", os.getpid(), self.path)
            yield
            return
        async with self.leading as db:
            status = await db.replica_replication_status()
            if status is not None:
                if status.applied_epoch == 0 or status.needs_reseed:
                    await db.replica_bootstrap_from_snapshot()
                await db.start_follower()
            log.info("worker %d leads %s as %s", os.getpid(), self.path, db.replication_role)
            yield

    @asynccontextmanager
    async def read(self) -> AsyncIterator[kitedb.aio.Database]:
        """What is read from."""
        if self.leading is not None:
            yield self.leading
            return
        async with kitedb.aio.open(self.path, read_only=True) as db:
            yield db

    async def write(self) -> kitedb.aio.Database:
        """What is administered."""
        if self.leading is None:
            # Asked now: when this worker was refused, whoever leads may not have written yet who it is.
            async with self.read() as db:
                status = await db.primary_replication_status() or await db.replica_replication_status()
            leads = f"process {status.process_id}" if status and status.process_id else "another process"
            detail = f"this worker only reads: {leads} leads; ask again, or run one worker"
            raise HTTPException(503, detail, {"retry-after": "0"})
        return self.leading


class Pull(BaseModel):
    """What a replica is asked to pull."""

    max_frames: Annotated[int, Field(ge=1, le=100_000)] = 256


async def pull_of(request: Request) -> Pull:
    """The body, which is not read before whoever sent it is admitted."""
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > MAX_BODY:
            raise HTTPException(413, f"the body has more than {MAX_BODY} bytes")
    try:
        return Pull.model_validate_json(body) if body else Pull()
    except ValidationError as error:
        raise RequestValidationError(error.errors()) from None


def node_of(request: Request) -> Node:
    """The database of this worker."""
    node: Node = request.app.state.node
    return node


def authorizer_of(request: Request) -> ReplicationAdminAuthorizer:
    """Who decides whom to admit."""
    authorizer: ReplicationAdminAuthorizer = request.app.state.authorizer
    return authorizer


def admitted(request: Request) -> None:
    """Raises unless whoever asks is admitted."""
    authorizer_of(request)(request)


def not_from_a_page(request: Request) -> None:
    """A page of another site can have a browser send a client certificate along, and cannot leave this header out."""
    if "origin" in request.headers or request.headers.get("sec-fetch-site", "none") != "none":
        raise HTTPException(403, "this is not for pages in a browser")


async def read_from(request: Request) -> AsyncIterator[kitedb.aio.Database]:
    """What is read from."""
    async with node_of(request).read() as db:
        yield db


async def written_to(request: Request) -> kitedb.aio.Database:
    """What is administered."""
    return await node_of(request).write()


Read = Annotated[kitedb.aio.Database, Depends(read_from)]
Write = Annotated[kitedb.aio.Database, Depends(written_to)]

router = APIRouter(prefix="/replication")
reading = APIRouter(dependencies=[Depends(admitted)])
writing = APIRouter(dependencies=[Depends(admitted), Depends(not_from_a_page)])


@router.get("/status")
async def status(request: Request, db: Read) -> JSONResponse:
    # What everybody may know: no path, no name, no text of an error.
    authorize = authorizer_of(request)
    shown: dict[str, object] = {"connected": True, "auth_enabled": authorize.auth_enabled, "role": db.replication_role}
    shown["leads"] = node_of(request).leading is not None
    primary, replica = await db.primary_replication_status(), await db.replica_replication_status()
    of_all = authorize.admits(request)
    for name, found, public in (
        ("primary", primary, ("role", "epoch", "head_log_index", "retained_floor", "last_token")),
        ("replica", replica, ("role", "applied_epoch", "applied_log_index", "needs_reseed")),
    ):
        shown[name] = found and (plain(found) if of_all else {field: found[field] for field in public})
    return answer(shown)


@reading.get("/metrics/prometheus")
async def metrics_prometheus(request: Request, db: Read) -> Response:
    text = kitedb.collect_replication_metrics_prometheus(db.blocking, auth_enabled=authorizer_of(request).auth_enabled)
    return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8", headers={"cache-control": "no-store"})


@reading.get("/metrics/otel-json")
async def metrics_otel_json(db: Read) -> Response:
    text = kitedb.collect_replication_metrics_otel_json(db.blocking)
    return Response(text, media_type="application/json", headers={"cache-control": "no-store"})


@reading.get("/transport/snapshot")
async def transport_snapshot(db: Read, include_data: bool = False) -> Response:
    text = await kitedb.aio.collect_replication_snapshot_transport_json(db, include_data)
    return answer({"success": True, "snapshot": json.loads(text)})


@reading.get("/transport/log")
async def transport_log(
    db: Read,
    cursor: str | None = None,
    max_frames: Annotated[int, Query(ge=1, le=10_000)] = 128,
    max_bytes: Annotated[int, Query(ge=1, le=32 * 1024 * 1024)] = 1024 * 1024,
    include_payload: bool = True,
) -> Response:
    text = await kitedb.aio.collect_replication_log_transport_json(db, cursor, max_frames, max_bytes, include_payload)
    return answer({"success": True, **json.loads(text)})


@writing.post("/pull")
async def pull(db: Write, asked: Annotated[Pull, Depends(pull_of)]) -> JSONResponse:
    applied = await db.replica_catch_up_once(asked.max_frames)
    replica = plain(await db.replica_replication_status())
    return answer({"success": True, "applied_frames": applied, "role": db.replication_role, "replica": replica})


@writing.post("/reseed")
async def reseed(db: Write) -> JSONResponse:
    await db.replica_reseed_from_snapshot()
    return answer({"success": True, "role": db.replication_role, "replica": plain(await db.replica_replication_status())})


@writing.post("/promote")
async def promote(db: Write) -> JSONResponse:
    status = await db.primary_replication_status()
    # Where the promotion was cut short, the lead is taken back.
    if status is not None and status.fenced and status.fence and (status.fence.assumed or status.fence.ended is not None):
        what = "stale primary: another node took over from this one: follow that one"
        return refusal(409, what, "STALE_PRIMARY", "fenced")
    epoch = await db.primary_promote_to_next_epoch()
    primary = plain(await db.primary_replication_status())
    return answer({"success": True, "epoch": epoch, "role": db.replication_role, "primary": primary})


router.include_router(reading)
router.include_router(writing)


def plain(found: Any) -> Any:
    """What a database says of itself, as JSON has it."""
    if isinstance(found, Mapping):
        return {name: plain(value) for name, value in found.items()}
    return [plain(item) for item in found] if isinstance(found, list) else found


def answer(content: object, status_code: int = 200, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """JSON that nobody keeps."""
    return JSONResponse(content, status_code, {"cache-control": "no-store", **(headers or {})})


def refusal(
    status_code: int, error: str, code: str, kind: str = "input", headers: Mapping[str, str] | None = None
) -> JSONResponse:
    """What is no success."""
    return answer({"success": False, "error": error, "code": code, "kind": kind}, status_code, headers)


def status_of(error: kitedb.KiteDbError) -> int:
    """As ``kitedb serve`` answers it."""
    match error.code, error.kind:
        case "DISK_FULL", _:
            return 507
        case "IO" | "CORRUPT", _:
            return 500
        case "INVALID_ARGUMENT" | "INVALID_OPTION" | "INVALID_CURSOR", _:
            return 400
        # In another state it would be done: it is no primary, somebody has it open, another node took over.
        case ("LOCKED", _) | (_, "input" | "retry_transaction" | "reseed" | "fenced"):
            return 409
        case _, "retry_later" | "reopen" | "cancelled":
            return 503
    return 500


def create_app(env: Mapping[str, str]) -> FastAPI:
    """The application. What cannot be meant in its environment is refused before it serves anything."""
    authorizer = create_replication_admin_authorizer(admin_auth_from(env))
    node = Node(env.get("KITEDB_PATH") or "social.kitedb", options_from(env))

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with node.running():
            yield

    app = FastAPI(title="kitedb replication", lifespan=lifespan, redirect_slashes=False)
    app.state.node, app.state.authorizer = node, authorizer
    app.include_router(router)

    @app.exception_handler(ReplicationAdminAuthError)
    async def unauthorized(request: Request, error: ReplicationAdminAuthError) -> JSONResponse:
        return refusal(error.status_code, str(error), error.code, headers=error.headers)

    # Those of the framework, too: a route that is none, a method that is none.
    @app.exception_handler(StarletteHTTPException)
    async def refused(request: Request, error: StarletteHTTPException) -> JSONResponse:
        kind = "retry_later" if error.status_code == 503 else "input"
        return refusal(error.status_code, error.detail, CODES.get(error.status_code, "INVALID_ARGUMENT"), kind, error.headers)

    @app.exception_handler(RequestValidationError)
    async def malformed(request: Request, error: RequestValidationError) -> JSONResponse:
        what = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
        return refusal(422, what, "INVALID_ARGUMENT")

    @app.exception_handler(kitedb.KiteDbError)
    async def failed(request: Request, error: kitedb.KiteDbError) -> JSONResponse:
        # What the database says goes to whoever was admitted.
        message = str(error) if request.url.path != "/replication/status" else "the database cannot be read"
        status_code = status_of(error)
        return refusal(status_code, message, error.code, error.kind, {"retry-after": "1"} if status_code == 503 else None)

    @app.exception_handler(Exception)
    async def unforeseen(request: Request, error: Exception) -> JSONResponse:
        # It is in the log.
        return refusal(500, "internal error", "INTERNAL", "bug")

    return app


app = create_app(os.environ) if __name__ != "__main__" else None

if __name__ == "__main__":
    import uvicorn

    host, port = os.environ.get("HOST") or "127.0.0.1", int(os.environ.get("PORT") or 8080)
    # Where a connection comes from is what the authorizer compares with the proxies: no header may say it.
    uvicorn.run(create_app(os.environ), host=host, port=port, proxy_headers=False)
