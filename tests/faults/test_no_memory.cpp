// SPDX-License-Identifier: BSL-1.0
// R4: the allocator fails at the first call, at the second, and so on until there is
// none left: each time the caller gets std::bad_alloc, nothing is left behind, and what
// exists goes on.
#include "mp/mp.hpp"

#include "support/catch.hpp"
#include "support/failing_allocator.hpp"
#include "support/proc.hpp"

#include <signal.h>
#include <unistd.h>

#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <new>
#include <string>
#include <utility>
#include <vector>

using namespace mp;
using test::open_descriptors;
using namespace std::chrono_literals;

namespace {

const pid_t test_process = ::getpid();

/// How many calls of the allocator were refused, each in a run of its own.
template <class Body>
int sweep(Body body) {
    body();  // what is made once a process is made
    body();
    mp::stop_helpers();  // the fork server keeps a child ready, or does not
    const int before = open_descriptors();
    for (int calls = 0;; ++calls) {
        std::string threw;
        test::refused = false;
        test::refusals = std::numeric_limits<long>::max();
        test::until_refusal = calls;
        try {
            body();
        } catch (const std::bad_alloc&) {
            threw = "bad_alloc";
        } catch (const ProcessError& error) {
            threw = error.what();  // which says what it could not do
        }
        test::until_refusal = -1;
        mp::stop_helpers();
        INFO("with " << calls << " calls of the allocator");
        CHECK(open_descriptors() == before);
        if (!test::refused) {
            CHECK(threw.empty());
            body();
            return calls;
        }
        REQUIRE(calls < 2000);
    }
}

template <class Deed>
class Finally {
public:
    explicit Finally(Deed deed) : deed_(std::move(deed)) {}

    ~Finally() { deed_(); }

    Finally(const Finally&) = delete;
    Finally& operator=(const Finally&) = delete;

private:
    Deed deed_;
};

using Table = std::map<std::string, std::vector<std::string>>;

const Table table{
    {"a long key that does not fit a string object", {"and", "some", "values"}},
    {"b", {std::string(5000, 'x')}}};

void take(const Table& given) {
    if (given != table) {
        std::abort();
    }
}

}  // namespace

TEST_CASE("R4: no memory while a value is serialised", "[faults]") {
    const int calls = sweep([] {
        const auto bytes = dumps(table);
        if (loads<Table>(bytes) != table) {
            std::abort();
        }
    });
    CHECK(calls > 3);
}

TEST_CASE("R4: no memory while a message travels", "[faults]") {
    // The receiver may lose the message, the connection then says so.
    sweep([] {
        auto [a, b] = Pipe();
        a.send(table);
        take(b.recv<Table>());
        a.send_bytes("text");
        if (b.recv_bytes().size() != 4) {
            std::abort();
        }
    });
}

TEST_CASE("R4: no memory in a queue", "[faults]") {
    sweep([] {
        Queue<Table> queue(5);
        queue.put(table);
        take(queue.get());
    });
    // Items are whole, or not there.
    Queue<Table> queue;
    sweep([&] {
        while (queue.qsize() > 0) {
            take(queue.get());
        }
        queue.put(table);
        queue.put(table);
        take(queue.get());
    });
}

TEST_CASE("R4: no memory for locks", "[faults]") {
    sweep([] {
        Lock lock;
        RLock recursive;
        Semaphore semaphore(2);
        BoundedSemaphore bounded(2);
        Event event;
        Condition condition;
        Barrier barrier(1);
        lock.acquire();
        lock.release();
        recursive.acquire();
        recursive.release();
        semaphore.acquire();
        semaphore.release();
        bounded.acquire();
        bounded.release();
        condition.acquire();
        condition.notify_all();
        condition.release();
        event.set();
        barrier.wait();
    });
}

// ThreadSanitizer makes a fork of vfork, whose child is then short of memory, too.
TEST_CASE("R4: no memory for shared memory", "[faults][no-tsan]") {
    sweep([] {
        {
            SharedMemory memory({.create = true, .size = 100});
            const Finally unlink([&] {
                test::until_refusal = -1;  // its name is the program's to take back
                memory.unlink();
            });
            const SharedMemory again({.name = memory.name()});
        }
        Value<int> value(3);
        Array<int> array(1000);
        value.set(4);
        array[3] = 5;
    });
}

TEST_CASE("R4: no memory while a process is started", "[faults][no-asan][no-tsan]") {
    for (const StartMethod method :
         {StartMethod::fork, StartMethod::spawn, StartMethod::forkserver}) {
        INFO(to_string(method));
        const auto start = [context = get_context(method)] {
            auto process = context.Process(take, table);
            process.start();
            // What comes now only waits; a refusal of it would leave the child.
            const long rest = std::exchange(test::until_refusal, -1);
            process.join();
            // A forked child has the parent's allocator, which may refuse there, too:
            // then it is aborted. It never goes on with the parent's work.
            const bool well = process.exitcode() == 0 ||
                              (rest >= 0 && process.exitcode() == -SIGABRT) ||
                              (rest >= 0 && process.exitcode() == 1);
            test::until_refusal = rest;
            if (!well || ::getpid() != test_process) {
                ::_exit(3);
            }
        };
        sweep(start);
    }
}

TEST_CASE("R4: no memory for a call over a socket", "[faults]") {
    connection::Listener listener({.authkey = "key"});
    sweep([&] {
        const int before = static_cast<int>(std::exchange(test::until_refusal, -1));
        auto caller = get_context("fork").Process([&, address = listener.address()] {
            auto connection =
                connection::Client({.address = address, .authkey = "key"});
            connection.send(table);
            try {
                connection.recv_bytes();
            } catch (const EOFError&) {
            }
        });
        caller.start();
        test::until_refusal = before;
        try {
            auto connection = listener.accept();
            take(connection.recv<Table>());
        } catch (const std::bad_alloc&) {
            test::until_refusal = -1;
            // A caller whose handshake had no memory is sent away: it ends.
            caller.terminate();
            caller.join();
            // It may wait in the system's queue, or among those that are ready.
            try {
                for (;;) {
                    listener.accept(0s);
                }
            } catch (const std::exception&) {
            }
            throw;
        }
        const long rest = std::exchange(test::until_refusal, -1);
        caller.join();
        test::until_refusal = rest;
    });
}
