"""Processes that work in rounds, and one that does not come."""
import multiprocessing as mp
import threading


def say_round():
    print("all have come", flush=True)


def work(barrier, rounds, done):
    for _ in range(rounds):
        barrier.wait()
        done.release()


def wait_in_vain(barrier, broken):
    try:
        barrier.wait()
    except threading.BrokenBarrierError:
        broken.release()


def main():
    barrier = mp.Barrier(3, action=say_round)
    done = mp.Semaphore(0)
    workers = [mp.Process(target=work, args=(barrier, 2, done)) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    print("done:", done.get_value(), "waiting:", barrier.n_waiting)

    broken = mp.Semaphore(0)
    waiters = [mp.Process(target=wait_in_vain, args=(barrier, broken)) for _ in range(2)]
    for waiter in waiters:
        waiter.start()
    try:
        barrier.abort()
        barrier.wait()
    except threading.BrokenBarrierError:
        print("not all came")
    for waiter in waiters:
        waiter.join()
    print("broken:", barrier.broken, "for", broken.get_value())
    barrier.reset()
    print("broken:", barrier.broken, "parties:", barrier.parties)


if __name__ == "__main__":
    main()
