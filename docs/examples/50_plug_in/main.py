"""What the plug-in does, in a program of its own: Python's children are always the interpreter."""
from concurrent.futures import ProcessPoolExecutor
import multiprocessing as mp


def square(x):
    return x * x


def main():
    for method in ("spawn", "forkserver"):
        with ProcessPoolExecutor(max_workers=2, mp_context=mp.get_context(method)) as pool:
            print(method + ":", *pool.map(square, [1, 2, 3]), flush=True)


if __name__ == "__main__":
    main()
