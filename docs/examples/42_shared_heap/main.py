"""A word count that children add to. In Python a manager process holds the dict."""
import multiprocessing as mp


def count(words, lock, text):
    for word in text.split():
        with lock:
            words[word] = words.get(word, 0) + 1


def main():
    with mp.Manager() as manager:
        words, lock = manager.dict(), mp.Lock()
        for text in ("one two three two", "three two three"):
            p = mp.Process(target=count, args=(words, lock, text))
            p.start()
            p.join()
        for word, number in sorted(words.items()):
            print(word, number)


if __name__ == "__main__":
    main()
