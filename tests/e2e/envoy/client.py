#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Connects to VIPs by orders, and says which endpoint answered.

  client.py envoy|sockmesh [CGROUP]

Moves itself into CGROUP first. Reads orders from stdin, one JSON object a line, and answers each
order with one line: {"vip", "port", "connections", "hold", "sources"} -> {"picks": [...],
"seconds": ...}. A pick stands for each connection: the endpoint's IP:PORT, "none" for a refusal, or
what went wrong. Further fields of an order:

  for_seconds  how long to connect, instead of how often
  pause        seconds to wait after each connection
  patience     seconds after which a connect that hangs counts as "none"
  vips         addresses to connect to in turn, in place of vip
  moments      whether to tell when each connection began, by the clock that all processes share

A refusal looks different on the two sides: Envoy accepts and closes without a byte, sockmesh
refuses the connect(). Envoy listens where the VIP is, so Envoy would balance a connection that
sockmesh did not rewrite. Each answer is therefore checked for the peer that the endpoint saw.
"""
import errno
import itertools
import json
import os
import resource
import socket
import sys
import time

TIMEOUT_SECONDS = 20
IP_BIND_ADDRESS_NO_PORT = 24  # linux/in.h
# A source address that Envoy's own connections never have, so that no port is equal by chance.
NOT_ENVOYS_ADDRESS = "127.3.0.1"
WENT_THROUGH_ENVOY = "error: not rewritten"


def read_line(connection):
    """The peer's line, or None if the peer closed without a line."""
    received = b""
    while not received.endswith(b"\n"):
        chunk = connection.recv(256)
        if not chunk:
            break
        received += chunk
    return received.decode()


def read_end(connection):
    while connection.recv(256):
        pass


class Client:
    def __init__(self, side):
        self.direct = side == "sockmesh"
        self.held = []
        self.patience = None

    def one(self, vip, source, hold):
        """Makes one connection. It is over on all sides before this returns, unless it is held."""
        connection = socket.socket()
        connection.settimeout(self.patience or TIMEOUT_SECONDS)
        try:
            if source:
                connection.bind((source, 0))
            elif not self.direct:
                connection.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
                connection.bind((NOT_ENVOYS_ADDRESS, 0))
            connection.connect(vip)
        except OSError as error:
            connection.close()
            if self.direct and (error.errno == errno.ECONNREFUSED or self.hung(error)):
                return "none"
            return f"error: connect: {error}"
        try:
            return self.exchange(connection, hold)
        except ConnectionResetError:
            return WENT_THROUGH_ENVOY if self.direct else "none"
        except OSError as error:
            return f"error: {error}"
        finally:
            if not hold:
                connection.close()

    def hung(self, error):
        return self.patience and isinstance(error, TimeoutError)

    def exchange(self, connection, hold):
        answer = read_line(connection)
        if hold:
            self.held.append(connection)
        elif answer:
            # This end reaches the endpoint through the proxy, and the endpoint's end comes back the
            # same way. Then nothing of the connection is open anywhere.
            connection.shutdown(socket.SHUT_WR)
            read_end(connection)
        if not answer:
            return WENT_THROUGH_ENVOY if self.direct else "none"
        endpoint, peer = answer.split()
        own = connection.getsockname()
        seen = peer == f"{own[0]}:{own[1]}"
        if self.direct != seen:
            return WENT_THROUGH_ENVOY if self.direct else "error: not through Envoy"
        return endpoint

    @staticmethod
    def sources(order, started):
        """The source address of each connection, None for any."""
        if "for_seconds" not in order:
            yield from order.get("sources") or [None] * order["connections"]
            return
        while time.monotonic() < started + order["for_seconds"]:
            yield None

    def run(self, order):
        vips = itertools.cycle(order.get("vips") or [order["vip"]])
        self.patience = order.get("patience")
        pause = order.get("pause", 0)
        started = time.monotonic()
        picks, moments = [], []
        for source in self.sources(order, started):
            moments.append(time.monotonic())
            picks.append(self.one((next(vips), order["port"]), source, order.get("hold")))
            if pause:
                time.sleep(pause)
        for connection in self.held:
            connection.close()
        self.held.clear()
        answer = {"picks": picks, "seconds": time.monotonic() - started}
        return answer | {"moments": moments} if order.get("moments") else answer


def main(side, cgroup=None):
    if cgroup:
        with open(os.path.join(cgroup, "cgroup.procs"), "w") as procs:
            procs.write(str(os.getpid()))
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    client = Client(side)
    for line in sys.stdin:
        print(json.dumps(client.run(json.loads(line))), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
