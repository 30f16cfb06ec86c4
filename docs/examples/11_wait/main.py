"""Waits for whichever comes first: messages of several children, or their ends."""
import multiprocessing as mp
from multiprocessing.connection import wait


def count(writer, start):
    for i in range(start, start + 3):
        writer.send(i)


def main():
    print("nothing to watch:", wait([], 0.01))
    idle, other = mp.Pipe()
    print("nothing comes:", wait([idle], 0.01))
    other.send("hello")
    print("ready:", len(wait([idle, other], 5)))

    readers = []
    children = []
    for start in (10, 20, 30):
        reader, writer = mp.Pipe(duplex=False)
        child = mp.Process(target=count, args=(writer, start))
        child.start()
        writer.close()
        readers.append(reader)
        children.append(child)
    total = 0
    while readers:
        for reader in wait(readers):
            try:
                total += reader.recv()
            except EOFError:
                readers.remove(reader)
    print("total:", total)

    sentinels = [child.sentinel for child in children]
    while sentinels:
        for ended in wait(sentinels):
            sentinels.remove(ended)
    for child in children:
        child.join()
    print("exit codes:", *[child.exitcode for child in children])


if __name__ == "__main__":
    mp.set_start_method("spawn")
    main()
