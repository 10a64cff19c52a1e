"""One MPTCP connection over loopback, 101 x 10007 B; prints what was read. Standard library alone."""

import socket
import threading

MPTCP = 262

server = socket.socket(socket.AF_INET, socket.SOCK_STREAM, MPTCP)
server.bind(("127.0.0.1", 0))
server.listen()
client = socket.socket(socket.AF_INET, socket.SOCK_STREAM, MPTCP)
client.connect(server.getsockname())
accepted, _ = server.accept()


def read():
    number = 0
    while data := accepted.recv(65536):
        number += len(data)
    print(number)


reader = threading.Thread(target=read)
reader.start()
for _ in range(101):
    client.sendall(bytes(10007))
client.shutdown(socket.SHUT_WR)
reader.join()
