"""Producers and consumers: a stream with clones of its ends, which end it when the last one is closed."""
import anyio


async def produce(name, stream):
    async with stream:
        for number in range(3):
            await stream.send((name, number))


async def consume(stream, results):
    async with stream:
        async for name, number in stream:
            results.append((name, number))


async def main():
    send, receive = anyio.create_memory_object_stream(2)
    results = []
    async with anyio.create_task_group() as group:
        async with send, receive:
            group.start_soon(produce, "a", send.clone())
            group.start_soon(produce, "b", send.clone())
            group.start_soon(consume, receive.clone(), results)
    for name, number in sorted(results):
        print(name, number)

    send, receive = anyio.create_memory_object_stream(1)
    send.send_nowait("what fits")
    try:
        send.send_nowait("what does not")
    except anyio.WouldBlock:
        print("it is full")
    print(receive.receive_nowait())
    await send.aclose()
    try:
        await receive.receive()
    except anyio.EndOfStream:
        print("the end")
    await receive.aclose()


anyio.run(main)
