# SPDX-License-Identifier: Apache-2.0
"""A RabbitMQ node of our own: own port mapper, cookie, user and directory, beside any other there is."""

from __future__ import annotations

import contextlib
import socket
import struct
from pathlib import Path
from urllib.parse import quote

from tools.lib.services.errors import ServiceError
from tools.lib.services.processes import Process, wait_until
from tools.lib.services.service import Service, clean_environment, free_port, output_of, random_password, write_private

_BIN = Path("/usr/lib/rabbitmq/bin")  # Debian's /usr/sbin wrappers change user and directory
_PLUGINS = Path("/usr/lib/rabbitmq/lib")  # holds rabbitmq_server-VERSION/plugins/NAME-VERSION/ebin, the broker's own code too
_ERLANG = Path("/usr/lib/erlang/lib")
# Most modules that a start loads are of these, the largest first. Erlang opens each in every directory of its path in turn.
_LOADED = ("rabbit", "kernel", "stdlib", "ssl", "rabbit_common", "inets", "compiler", "ra", "xmerl", "mnesia", "cuttlefish",
           "rabbitmq_prelaunch", "ranch", "sasl", "osiris", "tools", "syslog", "public_key", "syntax_tools", "os_mon")
_FRAME_END = 0xCE  # AMQP 0-9-1, 4.2.3
_START, _TUNE = (10, 10), (10, 30)  # connection.start and connection.tune, AMQP 0-9-1, 1.4.2


class RabbitMQ(Service):
    """One node; `url` is for oslo.messaging. There is no user `guest`; classic and quorum queues work."""

    def __init__(
        self, state_dir: Path, *, address: str = "127.0.0.1", port: int | None = None, user: str = "nova"
    ) -> None:
        super().__init__(state_dir)
        kept = self._keep(
            {
                "address": address,
                "port": port or free_port(),
                "dist_port": free_port(),
                "epmd_port": free_port(),
                "user": user,
                "password": random_password(),
            }
        )
        self.address, self.user, self.password = (
            str(kept["address"]),
            str(kept["user"]),
            str(kept["password"]),
        )
        self.port, self._dist_port, self._epmd_port = (
            int(kept[n]) for n in ("port", "dist_port", "epmd_port")
        )
        self._epmd = Process("epmd", self.state_dir)
        self._broker = Process("rabbitmq", self.state_dir)

    @property
    def url(self) -> str:
        """The transport URL of the default virtual host, for oslo.messaging's `transport_url`."""
        return self._url("rabbit", "/")

    def amqp_url(self, vhost: str = "/") -> str:
        """Return the same as `amqp://…`, which kombu takes."""
        return self._url("amqp", vhost)

    def create_vhost(self, name: str) -> str:
        """Make an empty virtual host, ours to use, and return its transport URL.

        A fresh one is the cure for queues and exchanges declared with other settings (durable or not, quorum
        or not).
        """
        vhost, user = _binary(name), _binary(self.user)
        self._eval(f"ok = rabbit_vhost:add({vhost}, {user})")
        self._eval(f'ok = rabbit_auth_backend_internal:set_permissions({user}, {vhost}, <<".*">>, <<".*">>, <<".*">>, {user})')
        return self._url("rabbit", name)

    def delete_vhost(self, name: str) -> None:
        """Remove a virtual host with all its queues and exchanges; nothing when there is none."""
        vhost = _binary(name)
        self._eval(f"ok = case rabbit_vhost:exists({vhost}) of true -> rabbit_vhost:delete({vhost}, {_binary(self.user)}); false -> ok end")

    def ctl(self, *words: str) -> str:
        """Run `rabbitmqctl` against this node and return its output; about a second, Erlang starts slowly."""
        return output_of([str(_BIN / "rabbitmqctl"), "--quiet", *words], env=self._environment())

    def _eval(self, expression: str) -> None:
        """Have the node evaluate what must not fail, by erl_call, which is not Erlang: 10 ms where `rabbitmqctl` takes a second."""
        node = f"nova{self.port}@localhost"
        done = output_of(["erl_call", "-n", node, "-e"], env=self._environment(), text=f"{expression}.\n")
        if done != "{ok, ok}":
            raise ServiceError(f"{node} did not evaluate {expression}: {done}")

    def _start(self) -> None:
        """Start it and return when it lets our user in; 4 s."""
        if not (_BIN / "rabbitmq-server").exists():
            raise ServiceError("rabbitmq-server is not installed; run tools/install --for test")
        self._configure()
        self._epmd.start(
            ["epmd", "-port", str(self._epmd_port), "-address", "127.0.0.1"], env=self._environment()
        )
        self._broker.start([str(_BIN / "rabbitmq-server")], env=self._environment())
        wait_until(self.is_ready, deadline_s=90, what="starting RabbitMQ", watch=(self._epmd, self._broker))

    def stop(self) -> None:
        """End the node, then its port mapper."""
        self._broker.end(deadline_s=30)
        self._epmd.end()

    def kill9(self) -> None:
        """Crash the node; the port mapper stays, as in real life. `start()` brings it back on the same port.

        RabbitMQ 3.10 writes its list of quorum queues to disk only twice a second: one declared just before
        the crash comes back without a leader, and its consumers wait 65 s for `541 INTERNAL_ERROR`. Older
        ones lose nothing.
        """
        self._broker.kill9()

    def is_ready(self) -> bool:
        """Log in by AMQP as our user."""
        with (
            contextlib.suppress(OSError, EOFError),
            socket.create_connection((self.address, self.port), 5) as wire,
        ):
            wire.settimeout(5)
            wire.sendall(b"AMQP\x00\x00\x09\x01")
            if _read_method(wire) != _START:
                return False
            answer = b"\x00%s\x00%s" % (self.user.encode(), self.password.encode())
            body = (
                struct.pack(">HHI", 10, 11, 0)
                + b"\x05PLAIN"
                + struct.pack(">I", len(answer))
                + answer
                + b"\x05en_US"
            )
            wire.sendall(struct.pack(">BHI", 1, 0, len(body)) + body + bytes([_FRAME_END]))
            return _read_method(wire) == _TUNE
        return False

    def _url(self, scheme: str, vhost: str) -> str:
        place = f"{scheme}://{self.user}:{self.password}@{self.address}:{self.port}/"
        if vhost == "/":
            return place if scheme == "rabbit" else place + "%2F"
        return place + quote(vhost, safe="")

    def _configure(self) -> None:
        home = self.state_dir / "home"
        home.mkdir(parents=True, exist_ok=True)
        cookie = home / ".erlang.cookie"
        if not cookie.exists():
            write_private(cookie, random_password())
            cookie.chmod(0o400)
        (self.state_dir / "enabled_plugins").write_text("[].\n")
        # It puts the directory of every plugin it finds before all others in its path of code, to be searched for each
        # module: of sixty it gets to see the one without which there is no schema of rabbitmq.conf.
        plugins = self.state_dir / "plugins"
        plugins.mkdir(exist_ok=True)
        for own in _PLUGINS.glob("rabbitmq_server-*/plugins/rabbit-*"):
            link = plugins / own.name
            if not link.is_symlink():
                link.symlink_to(own)
        lines = [
            f"listeners.tcp.1 = {self.address}:{self.port}",
            "distribution.listener.interface = 127.0.0.1",
            f"default_user = {self.user}",
            f"default_pass = {self.password}",
            "default_user_tags.administrator = true",
            "disk_free_limit.absolute = 50MB",
            "log.file.level = info",
        ]
        write_private(self.state_dir / "rabbitmq.conf", "\n".join(lines) + "\n")

    def _environment(self) -> dict[str, str]:
        here = self.state_dir
        return clean_environment(
            HOME=str(here / "home"),
            ERL_EPMD_PORT=str(self._epmd_port),
            ERL_EPMD_ADDRESS="127.0.0.1",
            ERL_CRASH_DUMP_SECONDS="0",
            RABBITMQ_NODENAME=f"nova{self.port}@localhost",
            RABBITMQ_DIST_PORT=str(self._dist_port),
            RABBITMQ_MNESIA_BASE=str(here / "data"),
            RABBITMQ_LOG_BASE=str(here / "log"),
            RABBITMQ_CONFIG_FILE=str(here / "rabbitmq.conf"),
            RABBITMQ_ADVANCED_CONFIG_FILE=str(here / "advanced.config"),
            RABBITMQ_CONF_ENV_FILE=str(here / "rabbitmq-env.conf"),
            RABBITMQ_ENABLED_PLUGINS_FILE=str(here / "enabled_plugins"),
            RABBITMQ_PLUGINS_DIR=str(here / "plugins"),
            RABBITMQ_SCHEMA_DIR=str(here / "schema"),
            RABBITMQ_GENERATED_CONFIG_DIR=str(here / "generated"),
            RABBITMQ_PID_FILE=str(here / "rabbitmq.pid"),
            # makes the script become Erlang instead of watching it from a shell: one pid to signal
            RUNNING_UNDER_SYSTEMD="1",
            # idle schedulers must not spin: the machines this runs on have two cores
            RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=f"+S 2:2 +sbwt none +sbwtdcpu none +sbwtdio none -pa {_code_path()}",
        )


class VirtualHost(RabbitMQ):
    """A virtual host of a broker that runs for others too, in place of a broker: it is made and removed, the broker stays."""

    def __init__(self, broker: RabbitMQ, name: str) -> None:
        super().__init__(broker.state_dir)  # the same node, by the settings that it keeps there
        self._name = name

    @property
    def url(self) -> str:
        """The transport URL of this virtual host."""
        return self._url("rabbit", self._name)

    def _start(self) -> None:
        self.create_vhost(self._name)

    def stop(self) -> None:
        """Nothing: others use the broker."""

    def purge(self) -> None:
        """Remove it; the broker may be gone by then."""
        if self.is_ready():
            self.delete_vhost(self._name)


def _code_path() -> str:
    """The directories of _LOADED that there are."""
    parts = [part for name in _LOADED
             for part in (*_PLUGINS.glob(f"rabbitmq_server-*/plugins/{name}-*/ebin"), *_ERLANG.glob(f"{name}-*/ebin"))]
    return " ".join(map(str, parts))


def _binary(text: str) -> str:
    """As Erlang writes it."""
    return f"<<{','.join(map(str, text.encode()))}>>"


def _read_method(wire: socket.socket) -> tuple[int, int]:
    """Return class and method of the next frame."""
    _kind, _channel, size = struct.unpack(">BHI", _read(wire, 7))
    body = _read(wire, size + 1)
    first, second = struct.unpack(">HH", body[:4])
    return first, second


def _read(wire: socket.socket, size: int) -> bytes:
    held = b""
    while len(held) < size:
        piece = wire.recv(size - len(held))
        if not piece:
            raise EOFError
        held += piece
    return held
