"""Workers take jobs from one queue and put results into another."""
import multiprocessing as mp
import queue


def work(jobs, results):
    while True:
        job = jobs.get()
        if job is None:
            break
        results.put((job, job * job))


def main():
    jobs, results = mp.Queue(10), mp.Queue()
    workers = [mp.Process(target=work, args=(jobs, results)) for _ in range(3)]
    for w in workers:
        w.start()
    for number in range(20):
        jobs.put(number)
    for _ in workers:
        jobs.put(None)
    for number, square in sorted(results.get() for _ in range(20)):
        print(number, square)
    for w in workers:
        w.join()
    try:
        results.get(timeout=0.01)
    except queue.Empty:
        print("empty")
    results.close()
    try:
        results.put(1)
    except ValueError as error:
        print("closed")


if __name__ == "__main__":
    mp.set_start_method("spawn")
    main()
