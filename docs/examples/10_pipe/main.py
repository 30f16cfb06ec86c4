"""Two ends: objects and bytes to a child and back, and how a stream ends."""
import multiprocessing as mp


def shout(connection):
    try:
        while True:
            text, times = connection.recv()
            connection.send((text.upper() + "!") * times)
    except EOFError:
        pass  # every copy of the other end is closed


def fill(writer):
    for i in range(3):
        writer.send_bytes(b"x" * i)


def main():
    mine, theirs = mp.Pipe()
    p = mp.Process(target=shout, args=(theirs,))
    p.start()
    theirs.close()  # or the child's copy would not be the last one
    mine.send(("hello", 2))
    print(mine.recv())
    mine.send(("bye", 1))
    print(mine.recv())
    print("poll:", mine.poll())
    mine.close()
    p.join()
    print("exit code", p.exitcode)

    reader, writer = mp.Pipe(duplex=False)
    q = mp.Process(target=fill, args=(writer,))
    q.start()
    writer.close()
    buffer = bytearray(10)
    try:
        while True:
            print("bytes:", reader.recv_bytes_into(buffer))
    except EOFError:
        print("the end")
    q.join()


if __name__ == "__main__":
    mp.set_start_method("spawn")
    main()
