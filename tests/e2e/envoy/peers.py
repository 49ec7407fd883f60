#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The endpoints of all cases, in one process.

  peers.py PORT...

Listens on each port of every address (127.0.0.0/8 is the machine itself), so that every endpoint
that a case can name really listens. Answers a connection with one line: the endpoint's own IP:PORT
and the IP:PORT of the peer that the endpoint sees. Closes the connection after the peer's FIN.
"""
import resource
import selectors
import socket
import sys

BACKLOG = 4096


def accept_all(selector, server):
    while True:
        try:
            connection, peer = server.accept()
        except BlockingIOError:
            return
        own = connection.getsockname()
        try:
            connection.send(f"{own[0]}:{own[1]} {peer[0]}:{peer[1]}\n".encode())
        except OSError:
            connection.close()
            continue
        connection.setblocking(False)
        selector.register(connection, selectors.EVENT_READ)


def read_until_end(selector, connection):
    try:
        if connection.recv(4096):
            return
    except BlockingIOError:
        return
    except OSError:
        pass
    selector.unregister(connection)
    connection.close()


def main(ports):
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    selector = selectors.EpollSelector()
    for port in ports:
        server = socket.socket()
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind(("0.0.0.0", int(port)))
        server.listen(BACKLOG)
        server.setblocking(False)
        selector.register(server, selectors.EVENT_READ, accept_all)
    print("ready", flush=True)
    while True:
        for key, _ in selector.select():
            (key.data or read_until_end)(selector, key.fileobj)


if __name__ == "__main__":
    main(sys.argv[1:])
