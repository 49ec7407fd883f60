#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The demo's HTTP peers: backends that answer with their name, and a client that counts answers.

  http_peers.py serve NAME=ADDRESS:PORT ...
  http_peers.py request VIP:PORT COUNT [--until FILE] [--started FILE]

`request` opens one connection for each request. It prints how often each backend answered, as lines
"NAME COUNT", and a line "failed COUNT" with the reasons. It exits with 1 if a request failed. With
--until it goes on until FILE exists, and COUNT is the minimum. --started makes FILE after the first
50 requests.
"""
import collections
import http.client
import http.server
import os
import socketserver
import sys
import threading


class Backend(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = (self.server.name + "\n").encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *unused):
        pass


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True
    request_queue_size = 1024


def serve(specs):
    threads = []
    for spec in specs:
        name, address = spec.split("=")
        host, port = address.rsplit(":", 1)
        server = Server((host, int(port)), Backend)
        server.name = name
        threads.append(threading.Thread(target=server.serve_forever))
        threads[-1].start()
    print("ready", flush=True)
    for thread in threads:
        thread.join()


def one_request(host, port):
    connection = http.client.HTTPConnection(host, port, timeout=5)
    try:
        connection.request("GET", "/")
        return connection.getresponse().read().decode().strip()
    finally:
        connection.close()


def request(target, least, until, started):
    host, port = target.rsplit(":", 1)
    answers, failures = collections.Counter(), collections.Counter()
    count = 0
    while count < least or (until and not os.path.exists(until)):
        count += 1
        if started and count == 50:
            open(started, "w").close()
        try:
            answers[one_request(host, int(port))] += 1
        except OSError as error:
            failures[error.strerror or str(error)] += 1
    for name in sorted(answers):
        print(name, answers[name])
    reasons = ", ".join(f"{reason} x{n}" for reason, n in failures.items())
    print("failed", sum(failures.values()), reasons)
    return 1 if failures else 0


def main(arguments):
    if arguments[:1] == ["serve"]:
        serve(arguments[1:])
        return 0
    option = lambda name: arguments[arguments.index(name) + 1] if name in arguments else None
    return request(arguments[1], int(arguments[2]), option("--until"), option("--started"))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
