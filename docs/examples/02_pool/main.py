"""Calls in worker processes: a result, many results, an error, whoever is first."""
from concurrent.futures import ProcessPoolExecutor, as_completed


def fib(n):
    return n if n < 2 else fib(n - 1) + fib(n - 2)


def divide(a, b):
    if b == 0:
        raise ValueError("division by zero")
    return a // b


def main():
    with ProcessPoolExecutor(max_workers=2) as pool:
        future = pool.submit(fib, 20)
        print("fib(20) =", future.result())

        print(*pool.map(fib, range(10), chunksize=5))

        print("7 // 2 =", pool.submit(divide, 7, 2).result())
        try:
            pool.submit(divide, 1, 0).result()
        except ValueError as error:
            print("error:", error)

        futures = [pool.submit(fib, n) for n in (12, 3, 15)]
        print("sum:", sum(future.result() for future in as_completed(futures)))


if __name__ == "__main__":
    main()
