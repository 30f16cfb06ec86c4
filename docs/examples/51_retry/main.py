"""Tasks that fail now and then: run again when they throw or their worker dies, given up when they kill
each worker that takes them. Python's pool has none of it, and is broken by a crash, so this does it by hand."""
import os
import random
import signal
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool


class NetworkError(Exception):
    pass


def earlier_runs(path):
    runs = os.path.getsize(path)
    with open(path, "a") as file:
        file.write("x")
    return runs


def fetch(path):
    runs = earlier_runs(path)
    if runs == 0:
        raise NetworkError("no answer")
    if runs == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return 42


def crash():
    os.kill(os.getpid(), signal.SIGKILL)


def negated(n):
    return -n


class Pool:
    def __init__(self):
        self.executor = ProcessPoolExecutor(max_workers=1)

    def call(self, function, *args, retries=0):
        """The result; or how often it was tried, when it killed each worker."""
        for attempt in range(1, retries + 2):
            try:
                return self.executor.submit(function, *args).result()
            except NetworkError:
                if attempt > retries:
                    raise
            except BrokenProcessPool:
                self.executor = ProcessPoolExecutor(max_workers=1)
                if attempt > retries:
                    raise BrokenProcessPool(attempt) from None
            time.sleep(0.01 * 2**attempt * random.uniform(0.5, 1))


def main():
    pool = Pool()
    with tempfile.NamedTemporaryFile() as file:
        print("fetched:", pool.call(fetch, file.name, retries=3))
    try:
        pool.call(crash, retries=2)
    except BrokenProcessPool as error:
        print(f"given up after {error.args[0]} attempts, poison: yes")
    print("the pool goes on:", pool.call(negated, -1))
    pool.executor.shutdown()


if __name__ == "__main__":
    main()
