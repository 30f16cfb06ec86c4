// SPDX-License-Identifier: BSL-1.0
// What happens to a queue when processes that use it are killed or stopped. The
// library's sources are linked with their failpoints.
#include "mp/context.hpp"
#include "mp/detail/queue_core.hpp"
#include "mp/joinable_queue.hpp"
#include "mp/queue.hpp"

#include "support/catch.hpp"
#include "support/failpoints.hpp"
#include "support/fork_child.hpp"
#include "support/sanitizer.hpp"
#include "support/start_methods.hpp"

#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

using namespace std::chrono_literals;

namespace {

constexpr std::array points{
    "put: locked",
    "put: has room",
    "put: took blocks back",
    "put: has a large block",
    "put: written",
    "put: before the commit",
    "put: committed",
    "put: released",
    "get: locked",
    "get: read",
    "get: before the commit",
    "get: committed",
    "get: released",
    "get: before the calm",
};

struct Item {
    int producer = 0;
    int number = 0;
    std::string padding;

    template <class Archive>
    void serialize(Archive& archive, unsigned) {
        archive& producer& number& padding;
    }
};

// A fork takes a sanitizer some milliseconds.
constexpr unsigned usual_seeds = test::under_asan || test::under_tsan ? 1 : 3;

constexpr int stop = -1;

std::string padding_of(int number) {
    // Every tenth item is a large one.
    const std::size_t size = number % 10 == 0 ? 40'000 : 20;
    return std::string(size, static_cast<char>('a' + number % 26));
}

bool is_whole(const Item& item) {
    return item.padding == padding_of(item.number);
}

void produce(mp::Queue<Item>& queue, int producer, int first, int count) {
    for (int i = first; i < first + count; ++i) {
        queue.put({producer, i, padding_of(i)}, 60s);
    }
}

struct Seen {
    std::atomic<int> got;
    std::atomic<int> torn;
};

/// Counts what it gets until it gets a stop.
void consume(mp::Queue<Item>& queue, Seen& seen) {
    for (;;) {
        const Item item = queue.get(60s);
        if (item.number == stop) {
            return;
        }
        seen.got += 1;
        seen.torn += is_whole(item) ? 0 : 1;
    }
}

template <class Body>
pid_t victim(const char* point, int passes, Body body) {
    return test::fork_child([&] {
        test::arm({point, passes});
        body();
        return 0;
    });
}

bool was_killed(pid_t pid) {
    int status = 0;
    REQUIRE(::waitpid(pid, &status, 0) == pid);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
}

/// The children of a test share this.
Seen& shared_seen(const mp::detail::SharedBlock& block) {
    return block.as<Seen>();
}

void produce_armed(
    mp::Queue<Item> queue, int producer, int count, std::string point, int passes
) {
    test::arm({point, passes});
    produce(queue, producer, 0, count);
}

void consume_armed(
    mp::Queue<Item> queue, mp::detail::SharedBlock block, std::string point, int passes
) {
    test::arm({point, passes});
    consume(queue, shared_seen(block));
}

bool was_killed(mp::Process& process) {
    process.join();
    return process.exitcode() == -SIGKILL;
}

void play(const mp::Context& context, const char* point, unsigned seed) {
    std::mt19937 random(seed);
    mp::Queue<Item> queue({.maxsize = 20, .max_bytes = 4U << 20U});
    if (seed % 2 == 1) {
        queue.fileno();  // then each put and get does more
    }
    const auto block = mp::detail::SharedBlock::allocate(sizeof(Seen));
    Seen& seen = shared_seen(block);
    constexpr int items = 200;
    const bool of_producer = std::strncmp(point, "put", 3) == 0;
    const int passes = 1 + static_cast<int>(random() % 40);
    const std::string nowhere;
    // Two that live, and a victim on the side of the point.
    auto good_producer = context.Process(produce_armed, queue, 0, items, nowhere, 0);
    auto dies =
        of_producer
            ? context.Process(
                  produce_armed, queue, 1, items, std::string(point), passes
              )
            : context.Process(consume_armed, queue, block, std::string(point), passes);
    auto good_consumer = context.Process(consume_armed, queue, block, nowhere, 0);
    good_producer.start();
    dies.start();
    good_consumer.start();
    CHECK_FALSE(was_killed(good_producer));
    int put = items;
    if (of_producer && !was_killed(dies)) {
        put += items;
    }
    // The processes that are left go on.
    queue.put({2, 1, padding_of(1)}, 60s);
    queue.put({2, 10, padding_of(10)}, 60s);
    put += 2;
    queue.put({0, stop, ""}, 60s);
    if (!of_producer) {
        // One for each: the victim may come through.
        queue.put({0, stop, ""}, 60s);
        was_killed(dies);
    }
    CHECK_FALSE(was_killed(good_consumer));
    int left = 0;
    try {
        for (;;) {
            const Item item = queue.get_nowait();
            CHECK((item.number == stop || is_whole(item)));
            left += item.number == stop ? 0 : 1;
        }
    } catch (const mp::Empty&) {
    }
    CHECK(seen.torn == 0);
    if (of_producer) {
        // The victim's items are between none and all; each was got once.
        CHECK(seen.got >= put - left);
        CHECK(seen.got <= items * 2 + 2);
    } else {
        // At most the one that it had in its hands, and the counter's own gap.
        CHECK(seen.got + left >= put - 1);
        CHECK(seen.got <= put);
    }
}

}  // namespace

TEST_CASE("O5 O6 O7 O8: a kill at any step of the queue", "[faults][queue]") {
    const mp::Context context = each_start_method();
    for (const char* const point : points) {
        DYNAMIC_SECTION(point) {
            for (unsigned seed = 0; seed < usual_seeds; ++seed) {
                play(context, point, seed);
            }
        }
    }
}

TEST_CASE("O5 O6 O7 O8: kills at any step, a hundred seeds", "[.stress][queue]") {
    const mp::Context context = each_start_method();
    for (const char* const point : points) {
        DYNAMIC_SECTION(point) {
            for (unsigned seed = 0; seed < 100; ++seed) {
                play(context, point, seed);
            }
        }
    }
}

TEST_CASE(
    "O5 O6: a producer is killed, what it put stands behind a readable descriptor",
    "[faults][queue]"
) {
    mp::Queue<int> queue;
    pollfd descriptor{.fd = queue.fileno(), .events = POLLIN, .revents = 0};
    const pid_t producer = test::fork_child([&] {
        test::arm(
            {.name = "put: before the commit", .sent = SIGSTOP},
            {.name = "put: committed"}
        );
        queue.put(1);
        return 0;
    });
    int status = 0;
    REQUIRE(::waitpid(producer, &status, WUNTRACED) == producer);
    REQUIRE(WIFSTOPPED(status));
    // Nothing counts yet: a consumer that looks now may not take the ring away.
    CHECK_THROWS_AS(queue.get_nowait(), mp::Empty);
    ::kill(producer, SIGCONT);
    REQUIRE(was_killed(producer));
    CHECK(::poll(&descriptor, 1, 0) == 1);
    CHECK(queue.get_nowait() == 1);
    CHECK(::poll(&descriptor, 1, 0) == 0);
}

TEST_CASE("O7: a killed sleeper takes no wake-up with it", "[faults][queue]") {
    mp::Queue<Item> queue;
    std::vector<pid_t> sleepers;
    const auto block = mp::detail::SharedBlock::allocate(sizeof(Seen));
    for (int i = 0; i < 4; ++i) {
        sleepers.push_back(test::fork_child([&] {
            consume(queue, shared_seen(block));
            return 0;
        }));
    }
    for (std::size_t i = 0; i < 3; ++i) {
        ::kill(sleepers[i], SIGKILL);
        CHECK(was_killed(sleepers[i]));
    }
    for (int i = 0; i < 50; ++i) {
        queue.put({0, i, padding_of(i)});
    }
    queue.put({0, stop, ""});
    CHECK_FALSE(was_killed(sleepers.back()));
    CHECK(shared_seen(block).got == 50);
}

TEST_CASE(
    "O9: no producer is left: get gives up, or is told by shutdown", "[faults][queue]"
) {
    mp::Queue<int> queue;
    const pid_t producer = victim("put: committed", 2, [&] {
        queue.put(1);
        queue.put(2);
    });
    CHECK(was_killed(producer));
    CHECK(queue.get() == 1);
    CHECK(queue.get() == 2);
    CHECK_THROWS_AS(queue.get(50ms), mp::Empty);
    std::thread waiting([&] { CHECK_THROWS_AS(queue.get(60s), mp::ShutDown); });
    queue.shutdown();
    waiting.join();
}

TEST_CASE("O10: a full queue whose consumer died says Full", "[faults][queue]") {
    mp::Queue<int> queue(1);
    queue.put(1);
    const pid_t consumer = victim("get: locked", 1, [&] { queue.get(); });
    CHECK(was_killed(consumer));
    CHECK_THROWS_AS(queue.put(2, 50ms), mp::Full);
    CHECK(queue.get() == 1);
    queue.put(2, 60s);
    CHECK(queue.get() == 2);
}

TEST_CASE(
    "A stopped producer delays producers only, until they give up", "[faults][queue]"
) {
    mp::Queue<int> queue;
    queue.put(1);
    const pid_t stopped = test::fork_child([&] {
        test::arm({.name = "put: locked", .sent = SIGSTOP});
        queue.put(2);
        return 0;
    });
    int status = 0;
    REQUIRE(::waitpid(stopped, &status, WUNTRACED) == stopped);
    REQUIRE(WIFSTOPPED(status));
    CHECK_THROWS_AS(queue.put(3, 50ms), mp::Full);
    CHECK(queue.get(60s) == 1);
    CHECK_THROWS_AS(queue.get_nowait(), mp::Empty);
    ::kill(stopped, SIGCONT);
    CHECK(queue.get(60s) == 2);
    CHECK_FALSE(was_killed(stopped));
    queue.put(3);
    CHECK(queue.get() == 3);
}

TEST_CASE("O20: kills of a JoinableQueue's consumers", "[faults][queue]") {
    for (const char* const point :
         {"get: read", "get: committed", "task_done: booked"}) {
        mp::JoinableQueue<int> queue;
        queue.put(1);
        const pid_t consumer = victim(point, 1, [&] {
            queue.get();
            queue.task_done();
        });
        CHECK(was_killed(consumer));
        // Told at most once, whether the item was lost, is still there, or was done.
        for (int round = 0; round < 2; ++round) {
            while (queue.qsize() > 0) {
                queue.get();
                queue.task_done();
            }
            try {
                const bool all_done = queue.join(60s);
                CHECK(all_done);
            } catch (const mp::OwnerDied&) {
                CHECK(round == 0);
            }
        }
        CHECK(queue.join(0s));
    }
}

TEST_CASE("O13: 4 x 4 processes and kills conserve what was put", "[faults][queue]") {
    mp::Queue<Item> queue({.maxsize = 64});
    const auto block = mp::detail::SharedBlock::allocate(sizeof(Seen));
    Seen& seen = shared_seen(block);
    std::vector<pid_t> producers;
    std::vector<pid_t> consumers;
    constexpr int items = 3000;
    for (int i = 0; i < 4; ++i) {
        producers.push_back(test::fork_child([&] {
            produce(queue, i, 0, items);
            return 0;
        }));
    }
    std::mt19937 random(7);
    int kills = 0;
    const auto start_consumer = [&] {
        consumers.push_back(test::fork_child([&] {
            consume(queue, seen);
            return 0;
        }));
    };
    for (int i = 0; i < 4; ++i) {
        start_consumer();
    }
    // As long as there is work, one consumer after the other dies and is replaced.
    int before = 0;
    while (kills < 40 && seen.got < items * 4 - 200) {
        if (seen.got < before + 100) {
            std::this_thread::yield();
            continue;
        }
        before = seen.got;
        const std::size_t which = random() % consumers.size();
        ::kill(consumers[which], SIGKILL);
        CHECK(was_killed(consumers[which]));
        consumers.erase(consumers.begin() + static_cast<std::ptrdiff_t>(which));
        ++kills;
        start_consumer();
    }
    for (const pid_t producer : producers) {
        CHECK_FALSE(was_killed(producer));
    }
    for (std::size_t i = 0; i < consumers.size(); ++i) {
        queue.put({0, stop, ""}, 60s);
    }
    for (const pid_t consumer : consumers) {
        CHECK_FALSE(was_killed(consumer));
    }
    CHECK(seen.torn == 0);
    CHECK(seen.got <= items * 4);
    CHECK(seen.got >= items * 4 - kills);
    CHECK(queue.empty());
}
