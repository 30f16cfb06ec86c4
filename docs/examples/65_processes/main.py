"""Child programs: what one prints, one that fails, one that is talked to, one that is too slow."""
import subprocess

import anyio


async def main():
    result = await anyio.run_process(["sort", "-r"], input=b"one\ntwo\nthree\n")
    print(result.stdout.decode(), end="")

    try:
        await anyio.run_process(["sh", "-c", "echo oh no >&2; exit 3"])
    except subprocess.CalledProcessError as error:
        print("status", error.returncode, "-", error.stderr.decode(), end="")

    async with await anyio.open_process(["cat"]) as process:
        await process.stdin.send(b"to and fro\n")
        print((await process.stdout.receive()).decode(), end="")
        await process.stdin.aclose()
        print("cat ends with", await process.wait())

    with anyio.move_on_after(0.1) as scope:
        await anyio.run_process(["sleep", "3600"])
    print("too slow:", scope.cancel_called)


anyio.run(main)
