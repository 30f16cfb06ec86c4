"""A block of bytes and a list that two processes share by name."""
import multiprocessing as mp
from multiprocessing.shared_memory import ShareableList, SharedMemory


def count_up(name):
    block = SharedMemory(name=name)
    for i in range(10):
        block.buf[i] += 1
    block.close()


def fill_in(name):
    record = ShareableList(name=name)
    record[1] = 42
    record[2] = "grün"
    record.shm.close()


def main():
    block = SharedMemory(create=True, size=10)
    block.buf[:] = bytes(range(10))
    p = mp.Process(target=count_up, args=(block.name,))
    p.start()
    p.join()
    print(p.exitcode, *block.buf)

    record = ShareableList(["answer", 0, "blue", None, 2.5])
    q = mp.Process(target=fill_in, args=(record.shm.name,))
    q.start()
    q.join()
    print(q.exitcode, record[0], record[1], record[2], record[4])
    print(len(record), record.index(42), record.format)

    record.shm.close()
    record.shm.unlink()
    block.close()
    block.unlink()
    try:
        SharedMemory(name=block.name)
    except FileNotFoundError:
        print("gone")


if __name__ == "__main__":
    main()
