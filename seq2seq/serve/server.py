"""The process that serves: its address, its signals, its end."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import uvicorn

from seq2seq import machine
from seq2seq.errors import ConfigError
from seq2seq.serve.app import application
from seq2seq.serve.models import Served, load_served
from seq2seq.settings.schema import ServeConfig
from seq2seq.signals import end, handled

logger = logging.getLogger(__name__)
MOST_CONNECTIONS = 500  # open at once; many systems allow a process 1,024 files
LOCAL = ("localhost", "127.0.0.1", "[::1]")


def serve(settings: ServeConfig) -> None:
    """Serve until a signal; then take no more requests, finish those that wait, and return.

    Raises:
        CheckpointError, ConfigError: a run can't be used, or nobody can listen at the address.
    """
    with bound(settings.host, settings.port) as listener:
        machine.prepare(settings.machine.num_threads)
        served = load_served(settings)
        for one in served:
            one.translator.translate(["a"])  # what the first translation prepares, no request has to wait for
        server = Server(config(settings, served, listener))
        logger.info("%s; Ctrl-C ends it", _announced(served, listener))
        asyncio.run(server.serve(sockets=[listener]))


def bound(host: str, port: int) -> socket.socket:
    """A socket that listens at this address, where connections wait until the models are loaded.

    Raises:
        ConfigError: there is no such address here, it may not be used, or another program has it.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except (OSError, UnicodeError) as error:
        raise ConfigError(f"host={host}: no such address ({getattr(error, 'strerror', None) or error})") from None
    listener = socket.socket(family, kind, protocol)
    if sys.platform != "win32":  # where it would let two programs listen at one address
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(address)
        listener.listen()
    except OSError as error:
        listener.close()
        raise ConfigError(f"host={host} port={port}: {error.strerror}; give another port=… or host=…") from None
    return listener


def hosts(settings: ServeConfig, listener: socket.socket) -> set[str] | None:
    """The names under which browsers may reach a server that only this machine reaches; None for any other."""
    address = listener.getsockname()[0]
    if not ipaddress.ip_address(address).is_loopback:
        return None
    names = {*LOCAL, address, settings.host.lower()}
    return names | {settings.proxied_as.lower()} if settings.proxied_as else names


def config(settings: ServeConfig, served: list[Served], listener: socket.socket) -> uvicorn.Config:
    """Uvicorn's settings."""
    return uvicorn.Config(
        application(served, settings.limits, hosts(settings, listener)),
        http="h11",
        ws="none",
        lifespan="on",
        log_config=None,
        log_level="error",
        access_log=False,
        server_header=False,
        proxy_headers=settings.proxied_as is not None,
        forwarded_allow_ips="127.0.0.1,::1",
        limit_concurrency=MOST_CONNECTIONS,
        timeout_graceful_shutdown=int(settings.limits.deadline) + 1,
    )


def _announced(served: list[Served], listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    names = " and ".join(f"{one.name} ({one.src} → {one.tgt})" for one in served)
    return f"serving {names} at http://{f'[{host}]' if ':' in host else host}:{port}/"


class Server(uvicorn.Server):
    """Uvicorn's, which ends with status 0 after a signal, and at once after a second Ctrl-C."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """In the block signals end the server."""
        with handled(self._stop):
            yield

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take no more requests, and finish those that wait."""
        logger.info("stopping when the requests that wait are answered; Ctrl-C again ends at once")
        await super().shutdown(sockets)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        if self.should_exit and number == signal.SIGINT:
            end(number, frame)
        self.should_exit = True
