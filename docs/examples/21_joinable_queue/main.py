"""join() waits until everything that was put has been dealt with."""
import multiprocessing as mp


def work(jobs, done):
    while True:
        job = jobs.get()
        if job is not None:
            with done.get_lock():
                done.value += job
        jobs.task_done()
        if job is None:
            break


def main():
    jobs = mp.JoinableQueue()
    done = mp.Value("i", 0)
    workers = [mp.Process(target=work, args=(jobs, done)) for _ in range(2)]
    for w in workers:
        w.start()
    for number in range(100):
        jobs.put(number)
    jobs.join()
    print("sum", done.value)
    for _ in workers:
        jobs.put(None)
    jobs.join()
    for w in workers:
        w.join()
    try:
        jobs.task_done()
    except ValueError:
        print("too many")


if __name__ == "__main__":
    mp.set_start_method("spawn")
    main()
