#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Switched endpoints: each endpoint listens, refuses or swallows connections, by orders.

  switched.py

Reads orders from stdin, one JSON object a line: {"IP:PORT": "listen", "refuse" or "hang"}. Answers
"done" when the whole order is carried out. An endpoint that was never named refuses, because
nothing listens there.
"""
import json
import resource
import selectors
import socket
import sys

import peers

CLOSED = "refuse"


def bound(address, backlog):
    ip, port = address.rsplit(":", 1)
    server = socket.socket()
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.bind((ip, int(port)))
    server.listen(backlog)
    server.setblocking(False)
    return server


class Listening:
    def __init__(self, selector, address):
        self.selector, self.server = selector, bound(address, peers.BACKLOG)
        selector.register(self.server, selectors.EVENT_READ, peers.accept_all)

    def close(self):
        self.selector.unregister(self.server)
        self.server.close()


class Hanging:
    """A listener whose backlog is full: it drops every SYN."""

    def __init__(self, _selector, address):
        self.server = bound(address, 0)
        self.waiting = []
        while self._one_more():
            pass

    def _one_more(self):
        """Whether the backlog had room for one more connection. On loopback that is known at once."""
        connection = socket.socket()
        connection.settimeout(0.1)
        try:
            connection.connect(self.server.getsockname())
        except TimeoutError:
            connection.close()
            return False
        self.waiting.append(connection)
        return True

    def close(self):
        for one in [*self.waiting, self.server]:
            one.close()


class Endpoints:
    def __init__(self, selector):
        self.selector = selector
        self.states = {}  # by address: (state, what holds it)

    def switch(self, address, state):
        before, holder = self.states.get(address, (CLOSED, None))
        if state == before:
            return
        if holder:
            holder.close()
        kinds = {"listen": Listening, "hang": Hanging, CLOSED: lambda *_: None}
        self.states[address] = (state, kinds[state](self.selector, address))

    def obey(self, _selector, stdin):
        line = stdin.readline()
        if not line:
            raise SystemExit
        for address, state in json.loads(line).items():
            self.switch(address, state)
        print("done", flush=True)


def main():
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    selector = selectors.EpollSelector()
    endpoints = Endpoints(selector)
    selector.register(sys.stdin, selectors.EVENT_READ, endpoints.obey)
    while True:
        for key, _ in selector.select():
            (key.data or peers.read_until_end)(selector, key.fileobj)


if __name__ == "__main__":
    main()
