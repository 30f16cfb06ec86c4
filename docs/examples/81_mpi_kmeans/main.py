"""Clusters of points (k-means) by all ranks of an MPI job: mpirun -n 3 python3 -m mpi4py.futures main.py. The
points stay where they are, in each rank; a round sends centres and gets sums."""
from mpi4py.futures import MPIPoolExecutor

# What a rank's initializer makes, its tasks use.
points = []


def make_points(count):
    """Points around (100, 100), (300, 200) and (500, 300), the same in each rank. A real program would read a
    file here."""
    seed = 1

    def random():
        nonlocal seed
        seed = seed * 1_103_515_245 % 2_147_483_648 + 12_345
        return float(seed // 65_536 % 101 - 50)

    for i in range(count):
        x = 100 + 200 * (i % 3) + random()
        y = 100 + 100 * (i % 3) + random()
        points.append((x, y))


def nearest(centres, point):
    distances = [(x - point[0]) ** 2 + (y - point[1]) ** 2 for x, y in centres]
    return distances.index(min(distances))


def sums(first, last, centres):
    """Of some of the points, for each centre those that are nearest to it."""
    result = [(0, 0.0, 0.0) for _ in centres]
    for x, y in points[first:last]:
        i = nearest(centres, (x, y))
        result[i] = (result[i][0] + 1, result[i][1] + x, result[i][2] + y)
    return result


def main():
    count = 3000
    part = 250
    with MPIPoolExecutor(initializer=make_points, initargs=(count,)) as pool:
        firsts = list(range(0, count, part))
        lasts = [first + part for first in firsts]

        centres = [(0.0, 0.0), (250.0, 250.0), (600.0, 600.0)]
        rounds = 0
        moved = True
        while moved:
            totals = [(0, 0.0, 0.0) for _ in centres]
            for some in pool.map(sums, firsts, lasts, [centres] * len(firsts)):
                totals = [tuple(a + b for a, b in zip(*pair)) for pair in zip(totals, some)]
            before, centres = centres, [(x / number, y / number) for number, x, y in totals]
            moved = centres != before
            rounds += 1

        print(rounds, "rounds")
        for (number, _, _), (x, y) in zip(totals, centres):
            print(number, "points around", f"{x:.3f} {y:.3f}")


if __name__ == "__main__":
    main()
