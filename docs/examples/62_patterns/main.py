"""Many at once: gather, the first of several, so many at a time, and again until it works. AnyIO has the
parts; what is made of them here comes with the C++ library."""
import anyio


async def gather(*functions):
    results = [None] * len(functions)

    async def keep(index, function):
        results[index] = await function()

    async with anyio.create_task_group() as group:
        for index, function in enumerate(functions):
            group.start_soon(keep, index, function)
    return results


async def race(*functions):
    winner = []

    async def run(function):
        winner.append(await function())
        group.cancel_scope.cancel()

    async with anyio.create_task_group() as group:
        for function in functions:
            group.start_soon(run, function)
    return winner[0]


async def bounded_map(function, items, limit):
    results = [None] * len(items)
    limiter = anyio.CapacityLimiter(limit)

    async def keep(index, item):
        async with limiter:
            results[index] = await function(item)

    async with anyio.create_task_group() as group:
        for index, item in enumerate(items):
            group.start_soon(keep, index, item)
    return results


async def retry(function, attempts, base_delay):
    for attempt in range(attempts):
        try:
            return await function()
        except OSError:
            if attempt + 1 == attempts:
                raise
            await anyio.sleep(base_delay * 2**attempt)


def after(seconds, value):
    async def give():
        await anyio.sleep(seconds)
        return value

    return give


running = 0
most = 0


async def square(number):
    global running, most
    running += 1
    most = max(most, running)
    await anyio.sleep(0.01)
    running -= 1
    return number * number


calls = 0


async def flaky():
    global calls
    calls += 1
    if calls < 3:
        raise OSError("no answer")
    return calls


async def main():
    print(*await gather(after(0.03, 1), after(0.02, 2), after(0.01, 3)))
    print("first:", await race(after(3600, "the tortoise"), after(0.01, "the hare")))
    print(*await bounded_map(square, [1, 2, 3, 4, 5, 6], limit=2), "- at most", most, "at once")
    print("the call that worked:", await retry(flaky, attempts=5, base_delay=0.01))


anyio.run(main)
