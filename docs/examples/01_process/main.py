"""A child that works, one that fails, and one that is killed."""
import multiprocessing as mp
import sys


def add_up(name, count):
    print(f"{name}: {sum(range(count))}", flush=True)


def give_up(status):
    sys.exit(status)


def wait_for_ever(connection):
    connection.recv_bytes()  # nobody sends anything


def main():
    p = mp.Process(target=add_up, args=("sum", 1000))
    print(p.name, p.is_alive(), p.exitcode)
    p.start()
    p.join()
    print(p.name, p.is_alive(), p.exitcode)

    q = mp.Process(target=give_up, args=(7,), name="quitter")
    q.start()
    q.join()
    print(q.name, q.exitcode)

    mine, theirs = mp.Pipe()
    r = mp.Process(target=wait_for_ever, args=(theirs,), daemon=True)
    r.start()
    print(r.name, "children:", len(mp.active_children()))
    r.kill()
    r.join()
    print(r.name, r.exitcode, "children:", len(mp.active_children()))


if __name__ == "__main__":
    main()
