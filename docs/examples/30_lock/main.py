"""Two processes and one resource: Lock, RLock, Semaphore, Event."""
import multiprocessing as mp


def transfer(lock, start, writer, count):
    start.wait()
    for i in range(count):
        with lock:
            # Two messages that nobody else's comes between.
            writer.send(i)
            writer.send(-i)


def use_seat(seats, used):
    with seats:
        used.release()


def main():
    lock = mp.Lock()
    start = mp.Event()
    reader, writer = mp.Pipe(duplex=False)
    children = [mp.Process(target=transfer, args=(lock, start, writer, 100)) for _ in range(2)]
    for child in children:
        child.start()
    start.set()
    pairs = 0
    for _ in range(200):
        pairs += reader.recv() == -reader.recv()
    for child in children:
        child.join()
    print("pairs:", pairs)

    print(lock.acquire(), lock.acquire(timeout=0.1))
    lock.release()
    try:
        lock.release()
    except ValueError:
        print("released too often")

    rlock = mp.RLock()
    with rlock:
        with rlock:
            print("taken twice")

    seats = mp.BoundedSemaphore(2)
    used = mp.Semaphore(0)
    users = [mp.Process(target=use_seat, args=(seats, used)) for _ in range(4)]
    for user in users:
        user.start()
    for user in users:
        user.join()
    print("used:", used.get_value(), "free:", seats.get_value())


if __name__ == "__main__":
    main()
