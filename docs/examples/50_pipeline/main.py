"""A build: steps over files, each of which begins when the files that it reads are there. One step crashes,
one hangs, one takes all memory. What needs their files is not built; the rest is.
Python's pool knows no dependencies, no limits and no loss that it survives: this has a process for each step."""
import multiprocessing
import os
import resource
import signal
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor


def count_words(text, out):
    with open(text) as file, open(out, "w") as result:
        print(len(file.read().split()), file=result)


def add_up(a, b, out):
    with open(a) as first, open(b) as second, open(out, "w") as result:
        print(int(first.read()) + int(second.read()), file=result)


def crash(text, out):
    os.abort()


def hang(text, out):
    while True:
        time.sleep(1000)


def take_all_memory(text, out):
    pages = []
    while True:
        pages.append(bytearray(1 << 20))


class Failed(Exception):
    """What has become of a step; and how many steps back the reason is."""
    def __init__(self, text, steps=0):
        super().__init__(text)
        self.steps = steps


def in_child(function, paths, memory):
    if memory:
        with open("/proc/self/statm") as statm:
            has = int(statm.read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (has + memory, has + memory))
    try:
        function(*paths)
    except MemoryError:
        os._exit(99)


class Build:
    def __init__(self):
        self.processes = multiprocessing.get_context("fork")
        self.threads = ThreadPoolExecutor(16)
        self.steps = []

    def add(self, target, function, *needs, out, timeout=None, memory=None):
        future = self.threads.submit(self.run, function, needs, out, timeout, memory)
        self.steps.append((target, future))
        return future

    def run(self, function, needs, out, timeout, memory):
        paths = []
        for need in needs:
            try:
                paths.append(need if isinstance(need, str) else need.result())
            except Failed as failed:
                raise Failed(f"not run: what it needs failed, {failed.steps + 1} back", failed.steps + 1) from None
        process = self.processes.Process(target=in_child, args=(function, (*paths, out), memory))
        process.start()
        process.join(timeout)
        if process.is_alive():
            process.terminate()
            process.join()
            raise Failed("stopped: it took longer than its limit")
        if process.exitcode == 99:
            raise Failed("failed: it took more memory than its limit")
        if process.exitcode < 0:
            number = -process.exitcode
            raise Failed(f"lost: its worker was killed by signal {number} ({signal.Signals(number).name})")
        return out


def outcome(step):
    try:
        with open(step.result()) as file:
            return "built: " + file.read().strip()
    except Failed as failed:
        return str(failed)


def main():
    with tempfile.TemporaryDirectory() as folder:
        def file(base):
            return os.path.join(folder, base)
        with open(file("poem.txt"), "w") as text:
            text.write("the moon is up\nthe cat is out\n")
        with open(file("letter.txt"), "w") as text:
            text.write("dear all\n")

        build = Build()
        poem = build.add("poem.words", count_words, file("poem.txt"), out=file("poem.words"))
        letter = build.add("letter.words", count_words, file("letter.txt"), out=file("letter.words"))
        scan = build.add("scan.words", crash, file("scan.txt"), out=file("scan.words"))
        mail = build.add("mail.words", hang, file("mail.txt"), out=file("mail.words"), timeout=0.3)
        plan = build.add("map.words", take_all_memory, file("map.txt"), out=file("map.words"), memory=64 << 20)
        texts = build.add("texts.total", add_up, poem, letter, out=file("texts.total"))
        images = build.add("images.total", add_up, scan, plan, out=file("images.total"))
        build.add("twice.total", add_up, texts, texts, out=file("twice.total"))
        build.add("mail.total", add_up, poem, mail, out=file("mail.total"))
        build.add("all.total", add_up, texts, images, out=file("all.total"))
        for target, step in build.steps:
            print(f"{target}: {outcome(step)}")
        build.threads.shutdown()


if __name__ == "__main__":
    main()
