"""The other side of both servers, main.py and main.cpp."""
import sys
from multiprocessing import AuthenticationError
from multiprocessing.connection import Client

path, key = sys.argv[1:]
try:
    with Client(path, authkey=key.encode()) as connection:
        for number in (1, 20, 300):
            connection.send_bytes(str(number).encode())
        connection.send_bytes(b"")
        connection.send_bytes(b"thanks for " + connection.recv_bytes())
except AuthenticationError:
    sys.exit(3)
