"""Time limits that hold: around what is slow, around each other, and not around what cleans up."""
import anyio


async def slow():
    await anyio.sleep(3600)


async def stubborn():
    """Catches its cancellation, and goes on waiting. It does not get far."""
    for attempt in range(3):
        try:
            await slow()
        except anyio.get_cancelled_exc_class():
            print("attempt", attempt, "was cancelled")
    await slow()


async def save():
    await anyio.sleep(0.02)
    print("saved")


async def main():
    with anyio.move_on_after(0.05) as scope:
        await slow()
    print("too slow:", scope.cancel_called)

    try:
        with anyio.fail_after(0.05):
            await slow()
    except TimeoutError:
        print("too slow, and an error")

    with anyio.move_on_after(0.05):
        await stubborn()
    print("even the stubborn one ended")

    with anyio.move_on_after(0.05) as outer:
        with anyio.move_on_after(3600) as inner:
            await slow()
    print("the outer one:", outer.cancel_called, "- the inner one:", inner.cancel_called)

    with anyio.move_on_after(0.05):
        try:
            await slow()
        finally:
            with anyio.CancelScope(shield=True):
                await save()


anyio.run(main)
