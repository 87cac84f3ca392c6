"""serve.py ADDRESS PORT DIRECTORY: an HTTP server for the lab.

As python's own http.server, but it asks no name server for its name (a namespace has none to answer) and it sends
whole files by the kernel.
"""
import functools
import http.server
import socketserver
import sys


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True

    def server_bind(self):
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = self.server_address[:2]


class Handler(http.server.SimpleHTTPRequestHandler):
    def copyfile(self, source, outputfile):
        outputfile.flush()
        self.connection.sendfile(source)


address, port, directory = sys.argv[1:]
Server((address, int(port)), functools.partial(Handler, directory=directory)).serve_forever()
