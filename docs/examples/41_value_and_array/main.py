"""A counter and an array that several processes change."""
import ctypes
import multiprocessing as mp


class Point(ctypes.Structure):
    _fields_ = [("x", ctypes.c_int), ("y", ctypes.c_int)]


def work(counter, squares, point, begin, end):
    for i in range(begin, end):
        squares[i] = i * i
        with counter.get_lock():
            counter.value += 1
    with point.get_lock():
        point.x += begin
        point.y += end


def main():
    counter = mp.Value("i", 0)
    squares = mp.Array("i", 10)
    point = mp.Value(Point, 1, 2)
    processes = [
        mp.Process(target=work, args=(counter, squares, point, begin, begin + 5))
        for begin in (0, 5)
    ]
    for p in processes:
        p.start()
    for p in processes:
        p.join()
    print(counter.value, point.x, point.y)
    print(*squares[:])
    print(squares[-1], len(squares))

    raw = mp.RawArray("d", [1.5, 2.5])
    raw[0] += 1
    print(*raw)
    try:
        squares[10] = 0
    except IndexError:
        print("no such element")


if __name__ == "__main__":
    main()
