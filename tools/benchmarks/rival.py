# SPDX-License-Identifier: BSL-1.0
"""The same work in CPython: prints "name value" lines for one group of benchmarks."""

import multiprocessing
import os
import statistics
import sys
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing.connection import Client, Listener

QUICK = "--quick" in sys.argv
WORKERS = 2


def nothing(x=0):
    return x


def process_id(_):
    return os.getpid()


def size_of(data):
    return len(data)


def same(data):
    return data


def seconds_of(rounds, work, pick=statistics.median):
    work()
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return pick(times)


def start():
    for method, rounds in (("fork", 40), ("forkserver", 20), ("spawn", 10)):
        context = multiprocessing.get_context(method)

        def start_and_join():
            process = context.Process(target=nothing)
            process.start()
            process.join()

        seconds = seconds_of(3 if QUICK else rounds, start_and_join)
        print(method, seconds * 1e6)

        def first_result():
            with ProcessPoolExecutor(WORKERS, mp_context=context) as pool:
                pool.submit(nothing).result()

        seconds = seconds_of(2 if QUICK else 5, first_result)
        print("first_result_" + method, seconds * 1e6)


def pool():
    with ProcessPoolExecutor(WORKERS) as executor:
        list(executor.map(nothing, range(100)))

        def round_trips():
            for _ in range(200):
                executor.submit(nothing, 1).result()

        print("latency", seconds_of(3 if QUICK else 9, round_trips) / 200 * 1e6)
        count = 2000 if QUICK else 10000

        def many():
            for future in [executor.submit(nothing, i) for i in range(count)]:
                future.result()

        print("throughput", count / seconds_of(2 if QUICK else 5, many))
        items = count * 20

        def chunked():
            for _ in executor.map(nothing, range(items), chunksize=100):
                pass

        print("map100", items / seconds_of(2 if QUICK else 5, chunked))


def payload():
    with ProcessPoolExecutor(WORKERS) as executor:
        list(executor.map(nothing, range(100)))
        for name, size, count in (("1M", 1 << 20, 32), ("64M", 1 << 26, 2)):
            data = b"x" * size

            def call_in():
                for _ in range(count):
                    executor.submit(size_of, data).result()

            def echo():
                for _ in range(count):
                    executor.submit(same, data).result()

            rounds = 1 if QUICK else 3
            print(name, size * count / seconds_of(rounds, call_in) / 1e9)
            print("echo_" + name, size * count / seconds_of(rounds, echo) / 1e9)


def echo(connection):
    while data := connection.recv_bytes():
        connection.send_bytes(data)


def echo_objects(connection):
    while data := connection.recv():
        connection.send(data)


def call(address, count):
    for _ in range(count):
        with Client(address, authkey=b"the key of the bench") as connection:
            connection.send_bytes(b"one message")
            try:
                connection.recv_bytes()
            except EOFError:
                pass


def connection():
    context = multiprocessing.get_context("fork")
    rounds = 3 if QUICK else 7

    def ping_pong(name, target, send, receive, data, end, count):
        mine, theirs = context.Pipe()
        process = context.Process(target=target, args=(theirs,))
        process.start()

        def round_trips():
            for _ in range(count):
                send(mine, data)
                receive(mine)

        print(name, seconds_of(rounds, round_trips) / count * 1e6)
        send(mine, end)
        process.join()

    kind = type(multiprocessing.Pipe()[0])
    count = 50 if QUICK else 2000
    bytes_and_back = kind.send_bytes, kind.recv_bytes
    ping_pong("64B", echo, *bytes_and_back, b"x" * 64, b"", count)
    ping_pong("1MB", echo, *bytes_and_back, b"x" * (1 << 20), b"", count // 10)
    ping_pong("object", echo_objects, kind.send, kind.recv, "x" * 64, "", count)

    # Over TCP each call takes 40 ms here: two writes in a row wait for an acknowledgement.
    for name, family, count in (("AF_UNIX", "AF_UNIX", 500), ("TCP", "AF_INET", 20)):
        count = count // 10 if QUICK else count
        with Listener(family=family, backlog=128, authkey=b"the key of the bench") as listener:

            def calls():
                process = context.Process(target=call, args=(listener.address, count))
                process.start()
                for _ in range(count):
                    with listener.accept() as accepted:
                        accepted.recv_bytes()
                process.join()

            print("call_" + name, count / seconds_of(rounds, calls))


def put_texts(queue, count):
    for _ in range(count):
        queue.put("x" * 64)


def send_back(there, back):
    while (item := there.get()) >= 0:
        back.put(item)


def queue():
    context = multiprocessing.get_context("fork")
    rounds = 2 if QUICK else 5
    count = 5000 if QUICK else 50_000

    def one_to_one():
        texts = context.Queue()
        producer = context.Process(target=put_texts, args=(texts, count))
        producer.start()
        for _ in range(count):
            texts.get()
        producer.join()

    print("throughput", count / seconds_of(rounds, one_to_one))
    there, back = context.Queue(), context.Queue()
    other = context.Process(target=send_back, args=(there, back))
    other.start()
    count = 300 if QUICK else 3000

    def round_trips():
        for i in range(count):
            there.put(i)
            back.get()

    print("round_trip", seconds_of(rounds, round_trips) / count * 1e6)
    there.put(-1)
    other.join()


def threads():
    with ThreadPoolExecutor(WORKERS) as executor:
        count = 5000 if QUICK else 20000

        def many():
            for future in [executor.submit(nothing, i) for i in range(count)]:
                future.result()

        print("throughput", count / seconds_of(2 if QUICK else 5, many))

        def round_trips():
            for _ in range(500):
                executor.submit(nothing, 1).result()

        print("latency", seconds_of(3 if QUICK else 9, round_trips) / 500 * 1e6)


def hammer(lock, count):
    for _ in range(count):
        lock.acquire()
        lock.release()


def hammer_until(lock, stop, count):
    done = 0
    while not stop.value:
        hammer(lock, 1000)
        done += 1000
        count.value = done


def lock():
    count = 20_000
    rounds = 3 if QUICK else 15
    for name, kind in (
        ("uncontended", multiprocessing.Lock),
        ("recursive", multiprocessing.RLock),
        ("semaphore", multiprocessing.Semaphore),
    ):
        one = kind()
        print(name, seconds_of(rounds, lambda: hammer(one, count)) / count * 1e9)
    one = multiprocessing.Lock()
    stop = multiprocessing.RawValue("b", 0)
    others = multiprocessing.RawValue("q", 0)
    process = multiprocessing.Process(target=hammer_until, args=(one, stop, others))
    process.start()
    hammer(one, count)
    before, begin = others.value, time.perf_counter()
    for _ in range(rounds):
        hammer(one, count)
    seconds = time.perf_counter() - begin
    print("contended", seconds / (rounds * count + others.value - before) * 1e9)
    stop.value = 1
    process.join()


class Semaphores:
    def __init__(self):
        self.there, self.back = multiprocessing.Semaphore(0), multiprocessing.Semaphore(0)

    def ask(self):
        self.there.release()
        self.back.acquire()

    def answer(self):
        self.there.acquire()
        self.back.release()


class Events:
    def __init__(self):
        self.there, self.back = multiprocessing.Event(), multiprocessing.Event()

    def ask(self):
        self.there.set()
        self.back.wait()
        self.back.clear()

    def answer(self):
        self.there.wait()
        self.there.clear()
        self.back.set()


class Turns:
    def __init__(self):
        self.changed = multiprocessing.Condition()
        self.turn = multiprocessing.RawValue("i", 0)

    def pass_on(self, mine):
        with self.changed:
            self.changed.wait_for(lambda: self.turn.value == mine)
            self.turn.value = 1 - mine
            self.changed.notify()

    def ask(self):
        self.pass_on(0)

    def answer(self):
        self.pass_on(1)


class Meetings:
    def __init__(self):
        self.barrier = multiprocessing.Barrier(2)

    def ask(self):
        self.barrier.wait()

    answer = ask


def repeat(work, count):
    for _ in range(count):
        work()


def signals():
    multiprocessing.set_start_method("fork")
    rounds = 2 if QUICK else 5
    count = 100 if QUICK else 1000
    for name, kind in (
        ("Semaphore", Semaphores),
        ("Event", Events),
        ("Condition", Turns),
        ("Barrier", Meetings),
    ):
        pair = kind()
        other = multiprocessing.Process(target=repeat, args=(pair.answer, (rounds + 1) * count))
        other.start()
        print(name, seconds_of(rounds, lambda: repeat(pair.ask, count)) / count * 1e6)
        other.join()


def shm():
    from multiprocessing.shared_memory import ShareableList, SharedMemory

    times = 100 if QUICK else 1000
    rounds = 3 if QUICK else 9

    def named():
        for _ in range(times):
            made = SharedMemory(create=True, size=4096)
            found = SharedMemory(name=made.name)
            found.close()
            made.close()
            made.unlink()

    def array():
        for _ in range(times):
            multiprocessing.RawArray("b", 4096)[0] = 1

    value = multiprocessing.Value("i", 0)

    def access():
        for _ in range(times):
            value.value = value.value + 1

    items = ShareableList([1, 2.5, "text"])

    def item():
        for _ in range(times):
            items[0] = items[0] + 1

    print("named", seconds_of(rounds, named) / times * 1e6)
    print("array", seconds_of(rounds, array) / times * 1e6)
    print("value", seconds_of(rounds, access) / times * 1e9)
    print("list", seconds_of(rounds, item) / times * 1e9)
    items.shm.close()
    items.shm.unlink()


def mpi_executor():
    """Needs `mpirun -n N python3 -m mpi4py.futures`."""
    from mpi4py import MPI
    from mpi4py.futures import MPIPoolExecutor

    executor = MPIPoolExecutor()
    list(executor.map(nothing, range(100)))
    print("ranks", MPI.COMM_WORLD.Get_size())
    return executor


def mpi_small():
    rounds = 1 if QUICK else 3
    with mpi_executor() as executor:

        def round_trips():
            for _ in range(200):
                executor.submit(nothing, 1).result()

        print("latency", seconds_of(rounds, round_trips, min) / 200)
        count = 500 if QUICK else 4000

        def many():
            for future in [executor.submit(nothing, i) for i in range(count)]:
                future.result()

        print("tasks", seconds_of(rounds, many, min) / count)
        items = count * 50

        def chunked():
            for _ in executor.map(nothing, range(items), chunksize=500):
                pass

        print("map500", seconds_of(rounds, chunked, min) / items)


def mpi_large():
    with mpi_executor() as executor:
        for name, size, count in (("1M", 1 << 20, 32), ("16M", 1 << 24, 4)):
            data = b"x" * size

            def echo():
                for _ in range(count):
                    executor.submit(same, data).result()

            print(name, seconds_of(1 if QUICK else 3, echo, min) / count)


def cpu_seconds(pid):
    """As clock_getcpuclockid() makes the number of a process' clock."""
    return time.clock_gettime(~pid << 3 | 2)


def mpi_idle():
    with mpi_executor() as executor:
        workers = set(executor.map(process_id, range(100)))
        watched = 0.5 if QUICK else 3
        pids = [os.getpid(), *workers]
        before = [cpu_seconds(pid) for pid in pids]
        time.sleep(watched)
        master, *others = ((cpu_seconds(pid) - then) / watched for pid, then in zip(pids, before))
        print("idle_master", master)
        print("idle_worker", max(others))


GROUPS = {
    "start": start,
    "pool": pool,
    "payload": payload,
    "connection": connection,
    "queue": queue,
    "threads": threads,
    "lock": lock,
    "signals": signals,
    "shm": shm,
    "mpi_small": mpi_small,
    "mpi_large": mpi_large,
    "mpi_idle": mpi_idle,
}

if __name__ == "__main__":
    GROUPS[sys.argv[1]]()
