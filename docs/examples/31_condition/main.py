"""A producer and its consumers meet at a condition."""
import multiprocessing as mp


def consume(cond, stock, eaten):
    for _ in range(5):
        with cond:
            cond.wait_for(lambda: stock.get_value() > 0)
            stock.acquire()
            eaten.release()


def main():
    cond = mp.Condition()
    stock = mp.Semaphore(0)
    eaten = mp.Semaphore(0)
    consumers = [mp.Process(target=consume, args=(cond, stock, eaten)) for _ in range(3)]
    for consumer in consumers:
        consumer.start()
    for _ in range(15):
        with cond:
            stock.release()
            cond.notify()
    for consumer in consumers:
        consumer.join()
    print("eaten:", eaten.get_value(), "left:", stock.get_value())

    with cond:
        print("somebody came:", cond.wait(0.1))
        print("in time:", cond.wait_for(lambda: False, 0.1))
    try:
        cond.notify()
    except AssertionError:
        print("notify() needs the lock")


if __name__ == "__main__":
    main()
