"""An async program that has other processes compute: results awaited, a call given up with its worker."""
import time

import anyio
import anyio.to_process


def largest_factor(number):
    factor, largest = 2, 1
    while number > 1:
        while number % factor == 0:
            number //= factor
            largest = factor
        factor += 1
    return largest


def hang():
    time.sleep(3600)


async def tick(ticks):
    while True:
        await anyio.sleep(0.001)
        ticks.append(1)


async def main():
    numbers = [600851475143, 987654321, 720720]
    factors = {}
    ticks = []

    async def find(number):
        factors[number] = await anyio.to_process.run_sync(largest_factor, number)

    async with anyio.create_task_group() as ticking:
        ticking.start_soon(tick, ticks)
        async with anyio.create_task_group() as group:
            for number in numbers:
                group.start_soon(find, number)
        ticking.cancel_scope.cancel()
    for number in numbers:
        print("the largest prime factor of", number, "is", factors[number])
    print("the loop went on meanwhile:", len(ticks) > 0)

    with anyio.move_on_after(0.2) as scope:
        await anyio.to_process.run_sync(hang, cancellable=True)
    print("given up, with its worker:", scope.cancel_called)
    print("and the next one runs:", await anyio.to_process.run_sync(largest_factor, 35))


if __name__ == "__main__":
    anyio.run(main)
