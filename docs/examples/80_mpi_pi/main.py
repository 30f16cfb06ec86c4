"""Pi, by all ranks of an MPI job: mpirun -n 3 python3 -m mpi4py.futures main.py. Rank 0 submits, the others serve."""
from mpi4py import MPI
from mpi4py.futures import MPIPoolExecutor


def area(first, last, strips):
    """Of 4 / (1 + x * x) between 0 and 1, cut into so many strips, the area of some."""
    if strips <= 0:
        raise ValueError("there must be strips")
    width = 1 / strips
    total = 0
    for i in range(first, last):
        x = (i + 0.5) * width
        total += 4 / (1 + x * x)
    return total * width


def main():
    strips = 1_000_000
    parts = 20
    with MPIPoolExecutor() as pool:
        print(MPI.COMM_WORLD.Get_size() - 1, "ranks serve")

        firsts = [part * strips // parts for part in range(parts)]
        lasts = [(part + 1) * strips // parts for part in range(parts)]
        pi = sum(pool.map(area, firsts, lasts, [strips] * parts, chunksize=2))
        print(f"pi = {pi:.10f}")

        half = pool.submit(area, 0, strips // 2, strips)
        print(f"up to the middle: {half.result():.4f}")
        try:
            pool.submit(area, 0, 1, 0).result()
        except ValueError as error:
            print("error:", error)


if __name__ == "__main__":
    main()
