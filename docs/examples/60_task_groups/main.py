"""Tasks that end with their block: what one waits for, a server that says when it is ready, an error."""
import anyio


async def fetch(name, seconds):
    await anyio.sleep(seconds)
    print("fetched", name)


async def serve(*, task_status=anyio.TASK_STATUS_IGNORED):
    await anyio.sleep(0.01)
    task_status.started(8080)
    try:
        await anyio.sleep_forever()
    finally:
        print("the server ends")


async def fail():
    await anyio.sleep(0.01)
    raise OSError("no route to the host")


async def main():
    async with anyio.create_task_group() as group:
        group.start_soon(fetch, "the slow page", 0.2)
        group.start_soon(fetch, "the fast page", 0.05)
        print("both are under way")
    print("both are here")

    async with anyio.create_task_group() as group:
        port = await group.start(serve)
        print("it listens at", port)
        group.cancel_scope.cancel()

    try:
        async with anyio.create_task_group() as group:
            group.start_soon(fail)
            group.start_soon(fetch, "what is cancelled", 3600)
    except OSError as error:  # newer versions: except* OSError
        print("it failed:", error)
    except Exception as errors:
        print("it failed:", errors.exceptions[0])


anyio.run(main)
