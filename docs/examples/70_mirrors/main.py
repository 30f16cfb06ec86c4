"""A thousand files from mirrors of which some are slow, broken, or hang up half-way, and one is killed in
the middle: that costs attempts, and no file. Their sums are checked in other processes."""
import hashlib
import os
import random
import subprocess
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor

import anyio
import anyio.to_thread

FILE_COUNT = 1000
WHEN_ONE_IS_KILLED = 300


def content_of(file):
    generator = random.Random(file)
    return bytes(generator.choices(b"abcdefghijklmnopqrstuvwxyz", k=1 + generator.randrange(5000)))


def sum_of(content):
    return hashlib.sha256(content).hexdigest()


async def serve(manners, *, task_status):
    async def answer(client):
        try:
            async with client:
                request = b""
                while b"\r\n\r\n" not in request:
                    request += await client.receive()
                content = content_of(int(request.split()[1][1:]))
                if manners == "slow":
                    await anyio.sleep(0.2)
                status = b"500 no" if manners == "broken" else b"200 OK"
                length = 6000 if manners == "hangs up" else len(content)
                await client.send(b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s" % (status, length, content))
        except (OSError, anyio.EndOfStream, anyio.BrokenResourceError):
            pass

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    task_status.started(listener.extra(anyio.abc.SocketAttribute.local_port))
    await listener.serve(answer)


async def start_good_mirror(folder):
    """python3 -m http.server; with the process."""
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", "http.server", "0", "--bind", "127.0.0.1", "--directory", folder],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    line = await anyio.to_thread.run_sync(process.stdout.readline)
    return process, int(line.split(b"port ")[1].split()[0])


async def fetch_file(port, file):
    async with await anyio.connect_tcp("127.0.0.1", port) as stream:
        await stream.send(b"GET /%d HTTP/1.0\r\n\r\n" % file)
        answer = b""
        try:
            while True:
                answer += await stream.receive()
        except anyio.EndOfStream:
            pass
    head, _, content = answer.partition(b"\r\n\r\n")
    length = [int(line.split()[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")]
    if b" 200 " not in head.split(b"\r\n")[0] or length != [len(content)]:
        raise OSError("the mirror cannot")
    return content


class Fetcher:
    def __init__(self, ports, first_mirror):
        self.ports = ports
        self.first_mirror = first_mirror
        self.fetched = self.attempts = self.wrong = 0

    async def fetch_from_two(self, file):
        results, errors = [], []

        async def run(port):
            try:
                results.append(await fetch_file(port, file))
                group.cancel_scope.cancel()
            except (OSError, anyio.BrokenResourceError) as error:
                errors.append(error)
                group.cancel_scope.cancel()

        attempt = self.attempts
        self.attempts += 1
        with anyio.fail_after(2):
            async with anyio.create_task_group() as group:
                for which in range(2):
                    group.start_soon(run, self.ports[(attempt + which) % len(self.ports)])
        if not results:
            raise OSError("no mirror can")
        return results[0]

    async def fetch(self, file):
        for attempt in range(60):
            try:
                content = await self.fetch_from_two(file)
                break
            except (OSError, TimeoutError):
                await anyio.sleep(min(0.001 * 2**attempt, 0.02))
        self.fetched += 1
        if self.fetched == WHEN_ONE_IS_KILLED:
            self.first_mirror.kill()
        return content


async def main(pool, folder):
    async with anyio.create_task_group() as group:
        first_mirror, first_port = await start_good_mirror(folder)
        second_mirror, second_port = await start_good_mirror(folder)
        third_mirror, third_port = await start_good_mirror(folder)
        ports = [first_port, second_port, third_port]
        for manners in ["slow", "broken", "hangs up"]:
            ports.append(await group.start(serve, manners))
        fetcher = Fetcher(ports, first_mirror)
        limiter = anyio.CapacityLimiter(16)

        async def fetch_and_check(file):
            async with limiter:
                content = await fetcher.fetch(file)
                future = pool.submit(sum_of, content)
                fetcher.wrong += await anyio.to_thread.run_sync(future.result) != sum_of(content_of(file))

        async with anyio.create_task_group() as fetching:
            for file in range(FILE_COUNT):
                fetching.start_soon(fetch_and_check, file)
        group.cancel_scope.cancel()
        print(fetcher.fetched, "files,", fetcher.wrong, "of them wrong")
        print("a mirror was shut down in the middle:", first_mirror.wait() < 0)
        print("some had to be tried again:", fetcher.attempts > FILE_COUNT)
        for mirror in [second_mirror, third_mirror]:
            mirror.kill()
            mirror.wait()


if __name__ == "__main__":
    with ProcessPoolExecutor(2) as pool, tempfile.TemporaryDirectory() as folder:
        for file in range(FILE_COUNT):
            with open(os.path.join(folder, str(file)), "wb") as out:
                out.write(content_of(file))
        anyio.run(main, pool, folder)
