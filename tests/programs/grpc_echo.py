"""23 calls of 10007 B over gRPC, server and client in one process; prints the bytes that came back.

    python3 grpc_echo.py [PORT]

It runs under the distribution's Python, which has grpc.
"""

import sys
from concurrent import futures

import grpc


class Echo(grpc.GenericRpcHandler):
    def service(self, _details):
        return grpc.unary_unary_rpc_method_handler(lambda data, _context: data)


server = grpc.server(futures.ThreadPoolExecutor(2))
server.add_generic_rpc_handlers((Echo(),))
port = server.add_insecure_port(f"127.0.0.1:{sys.argv[1] if sys.argv[1:] else 0}")
server.start()
with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
    call = channel.unary_unary("/test/echo")
    print(sum(len(call(bytes(10007))) for _ in range(23)))
server.stop(None).wait()
