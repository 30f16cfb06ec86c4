"""A server at a path, and clients that know the key or do not: client.py."""
import os
import subprocess
import sys
import tempfile
from multiprocessing import AuthenticationError
from multiprocessing.connection import Listener


def start_client(path, key):
    script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "client.py")
    return subprocess.Popen([sys.executable, script, path, key])


def main():
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "socket")
        with Listener(path, authkey=b"secret") as listener:
            print("listening:", os.path.basename(listener.address))

            client = start_client(path, "secret")
            with listener.accept() as connection:
                total = 0
                while number := connection.recv_bytes():
                    total += int(number)
                connection.send_bytes(str(total).encode())
                print(connection.recv_bytes().decode())
            print("client:", client.wait())

            stranger = start_client(path, "guess")
            try:
                listener.accept()
            except AuthenticationError:
                print("a stranger was refused")
            print("stranger:", stranger.wait())
        print("left behind:", os.listdir(directory))


if __name__ == "__main__":
    main()
