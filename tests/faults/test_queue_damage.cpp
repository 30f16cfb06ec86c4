// SPDX-License-Identifier: BSL-1.0
// A process writes over the memory of a queue, word by word: the others get what was
// put or DamagedError, also those that wait; none hangs or crashes. And what a process
// that was killed leaves half-done is no damage. The library's sources are linked with
// their failpoints.
#include "mp/detail/queue_core.hpp"
#include "mp/errors.hpp"
#include "mp/joinable_queue.hpp"
#include "mp/queue.hpp"

#include "faults/scribbling.hpp"
#include "os/private_copy.hpp"
#include "queue/queue_layout.hpp"
#include "support/catch.hpp"
#include "support/failpoints.hpp"
#include "support/fork_child.hpp"
#include "support/patience.hpp"
#include "support/sanitizer.hpp"

#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <random>
#include <span>
#include <string>
#include <thread>
#include <vector>

using namespace std::chrono_literals;
using mp::detail::QueueControl;
using mp::detail::QueueCore;
using mp::detail::QueueItem;
using mp::detail::QueueLimits;

namespace {

enum Outcome : int { fine = 0, damaged = 10, wrong = 20, other = 30 };

std::vector<std::byte> message(int number) {
    // Every third one is a large one.
    return std::vector<std::byte>(
        number % 3 == 2 ? 50'000 : 40, static_cast<std::byte>(number)
    );
}

bool is_message(const QueueItem& item, int number) {
    const auto expected = message(number);
    const auto bytes = item.bytes();
    return std::equal(bytes.begin(), bytes.end(), expected.begin(), expected.end());
}

/// What a body ends with: in a child, which may not crash and not take for ever.
int outcome_of(const std::function<int()>& body) {
    return test::run_in_fork_for(test::patience(1s), [&]() -> int {
        try {
            return body();
        } catch (const mp::DamagedError&) {
            return damaged;
        } catch (const std::exception& error) {
            std::fprintf(stderr, "%s\n", error.what());
            return other;
        }
    });
}

QueueLimits small(std::uint64_t max_items = 0) {
    return {.max_items = max_items, .max_bytes = 1U << 20U};
}

constexpr int before = 4;

void fill(QueueCore& core) {
    // Some chunks further on, with blocks that were read.
    for (int i = 0; i < 9; ++i) {
        core.put(message(i), 1s);
    }
    for (int i = 0; i < 9; ++i) {
        QueueItem item;
        core.get(item, 1s);
    }
    for (int i = 0; i < before; ++i) {
        core.put(message(i), 1s);
    }
}

/// Uses all of it. The values must be right whatever else happens.
int use(QueueCore& core) {
    for (int i = 0; i < before; ++i) {
        QueueItem item;
        core.get(item, 1s);
        if (!is_message(item, i)) {
            return wrong;
        }
    }
    for (int i = 0; i < 40; ++i) {
        core.put(message(i), 1s);
        QueueItem item;
        core.get(item, 1s);
        if (!is_message(item, i)) {
            return wrong;
        }
    }
    return core.size() == 0 ? fine : wrong;
}

constexpr std::array<std::uint64_t, 6> values{
    0, ~std::uint64_t{0}, 1, std::uint64_t{1} << 62U, 0x1234'5678'9abc'def0, 7};

template <class Words, class Body>
int for_each_change(Words words, Body body) {
    int found = 0;
    for (std::size_t i = 0; i < words.size(); ++i) {
        auto& word = words[i];
        const std::uint64_t good = word;
        std::vector<std::uint64_t> changes(values.begin(), values.end());
        changes.push_back(good + 1);
        changes.push_back(good - 1);
        changes.push_back(good ^ std::uint64_t{1} << 33U);
        for (const std::uint64_t change : changes) {
            INFO("word " << i << ", " << good << " became " << change);
            const int outcome = body(word, change);
            CHECK((outcome == fine || outcome == damaged));
            found += outcome == damaged ? 1 : 0;
        }
    }
    return found;
}

/// The control block up to the sleepers: all that says something.
std::span<volatile std::uint64_t> control_words(const QueueCore& core) {
    return {
        reinterpret_cast<volatile std::uint64_t*>(core.control_block().data()),
        offsetof(QueueControl, consumers) / 8};
}

}  // namespace

TEST_CASE(
    "Queue: any word of its control block overwritten is DamagedError, or no matter",
    "[faults][queue]"
) {
    const std::uint64_t max_items = GENERATE(0U, 20U);
    const QueueCore shape(small());
    const std::size_t count = control_words(shape).size();
    int found = 0;
    for (std::size_t i = 0; i < count; ++i) {
        // The words that say something have values of their own in each queue.
        QueueCore sample(small(max_items));
        fill(sample);
        found += for_each_change(
            control_words(sample).subspan(i, 1),
            [&](volatile std::uint64_t&, std::uint64_t change) {
                return outcome_of([&] {
                    QueueCore core(small(max_items));
                    fill(core);
                    control_words(core)[i] = change;
                    return use(core);
                });
            }
        );
    }
    CHECK(found > 100);
}

TEST_CASE(
    "Queue: the headers and tables of its segment overwritten are DamagedError",
    "[faults][queue]"
) {
    QueueCore sample(small());
    fill(sample);
    const auto words = test::shared_words("mp-queue").back();
    std::vector<std::size_t> used;
    for (std::size_t i = 0; i < words.size() && used.size() < 60; ++i) {
        // Not the bytes of messages, which are the same eight times over.
        const std::uint64_t word = words[i];
        if (word != 0 && word != (word & 0xffU) * 0x0101'0101'0101'0101U) {
            used.push_back(i);
        }
    }
    REQUIRE(used.size() >= 10);
    int found = 0;
    for (const std::size_t i : used) {
        for (const std::uint64_t change : values) {
            INFO("word " << i << " became " << change);
            const int outcome = outcome_of([&]() -> int {
                QueueCore core(small());
                fill(core);
                for (const auto made : test::shared_words("mp-queue")) {
                    if (made.data() != words.data()) {
                        made[i] = change;
                    }
                }
                return use(core);
            });
            CHECK((outcome == fine || outcome == damaged));
            found += outcome == damaged ? 1 : 0;
        }
    }
    CHECK(found > 20);
}

TEST_CASE(
    "Queue: what is checked is a copy, which no process can change afterwards",
    "[faults][queue]"
) {
    struct Words {
        std::uint64_t a;
        std::uint32_t b;
        std::uint32_t c;
    };
    const auto block = mp::detail::SharedBlock::allocate(sizeof(Words));
    auto& shared = block.as<Words>();
    shared = {1, 2, 3};
    const Words copy = mp::os::private_copy(shared);
    REQUIRE(test::run_in_fork([&] {
                shared = {4, 5, 6};
                return 0;
            }) == 0);
    CHECK(shared.a == 4);
    CHECK((copy.a == 1 && copy.b == 2 && copy.c == 3));
    // The bounds of a queue are the handle's: they travel with it and stand nowhere
    // else.
    QueueCore core(small(2));
    for (const std::uint64_t word : control_words(core)) {
        CHECK(word != core.geometry().large_bytes);
        CHECK(word != core.geometry().first_chunk);
    }
    CHECK_THROWS_AS(
        QueueCore(
            {.max_chunks = 1U << 20U, .first_chunk = 4096, .large_bytes = 1U << 20U},
            core.control_block(),
            mp::detail::Segment("mp-queue", 1U << 20U),
            mp::UniqueFd()
        ),
        mp::SerializationError
    );
}

TEST_CASE(
    "Queue: its memory overwritten as a whole is DamagedError for all that wait",
    "[faults][queue]"
) {
    const int value = GENERATE(0x00, 0xff, 0x5a);
    const bool of_consumers = GENERATE(true, false);
    INFO("all bytes " << value << (of_consumers ? ", consumers" : ", producers"));
    QueueCore core(small(2));
    if (!of_consumers) {
        core.put(message(0), 1s);
        core.put(message(1), 1s);
    }
    std::vector<pid_t> waiting;
    std::array<int, 2> ready{};
    REQUIRE(::pipe(ready.data()) == 0);
    for (int i = 0; i < 3; ++i) {
        waiting.push_back(test::fork_child([&]() -> int {
            static_cast<void>(!::write(ready[1], "r", 1));
            try {
                QueueItem item;
                if (of_consumers) {
                    core.get(item, mp::forever);
                } else {
                    core.put(message(2), mp::forever);
                }
            } catch (const mp::DamagedError&) {
                return damaged;
            }
            return wrong;
        }));
    }
    for (int i = 0; i < 3; ++i) {
        char byte = 0;
        REQUIRE(::read(ready[0], &byte, 1) == 1);
    }
    ::close(ready[0]);
    ::close(ready[1]);
    for (const auto words : test::shared_words("mp-queue")) {
        std::memset(const_cast<std::uint64_t*>(words.data()), value, words.size() * 8);
    }
    std::memset(core.control_block().data(), value, core.control_block().size());
    for (const pid_t process : waiting) {
        CHECK(test::exit_status(process) == damaged);
    }
    QueueItem item;
    CHECK_THROWS_AS(core.size(), mp::DamagedError);
    CHECK_THROWS_AS(core.get(item, 0s), mp::DamagedError);
    CHECK_THROWS_AS(core.put(message(0), 0s), mp::DamagedError);
    core.shutdown(true);
    core.close();
}

TEST_CASE(
    "Queue: one process finds the damage, all others are told, also by the descriptor",
    "[faults][queue]"
) {
    QueueCore core(small());
    pollfd descriptor{.fd = core.fileno(), .events = POLLIN, .revents = 0};
    REQUIRE(::poll(&descriptor, 1, 0) == 0);
    const pid_t consumer = test::fork_child([&]() -> int {
        try {
            QueueItem item;
            core.get(item, mp::forever);
        } catch (const mp::DamagedError&) {
            return damaged;
        }
        return wrong;
    });
    core.control_block().as<QueueControl>().put_ends[0].chunk = 77;
    CHECK(outcome_of([&] {
              core.put(message(0), 1s);
              return fine;
          }) == damaged);
    CHECK(test::exit_status(consumer) == damaged);
    CHECK(::poll(&descriptor, 1, 0) == 1);
    CHECK_THROWS_AS(core.full() || core.size() > 0, mp::DamagedError);
}

TEST_CASE(
    "JoinableQueue: overwritten accounts are DamagedError, also for a join that waits",
    "[faults][queue]"
) {
    const std::size_t first = offsetof(QueueControl, deaths) / 8;
    const auto words_of = [](const QueueCore& core) {
        return std::span(
            reinterpret_cast<volatile std::uint64_t*>(core.control_block().data()),
            sizeof(QueueControl) / 8
        );
    };
    const std::size_t used = offsetof(QueueControl, accounts_used) / 8;
    for (const std::size_t at : {first, used, used + 1, used + 2}) {
        for (const std::uint64_t value : values) {
            INFO("word " << at << " is " << value);
            const int outcome = outcome_of([&]() -> int {
                QueueCore core(
                    {.max_items = 8, .max_bytes = 1U << 20U, .joinable = true}
                );
                QueueItem item;
                core.put(message(0), 1s);
                core.put(message(1), 1s);
                core.get(item, 1s);
                words_of(core)[at] = value;
                core.task_done();
                QueueItem second;
                core.get(second, 1s);
                core.task_done();
                return core.join(mp::Deadline(10s)) ? fine : wrong;
            });
            CHECK((outcome == damaged || (at == used + 2 && outcome == fine)));
        }
    }
    mp::JoinableQueue<int> queue;
    queue.put(1);
    CHECK(queue.get() == 1);
    queue.task_done();
    CHECK_THROWS_AS(queue.task_done(), std::invalid_argument);
    CHECK(queue.join(10s));
}

TEST_CASE(
    "Queue: a killed producer's large item, over blocks it took back, is no damage",
    "[faults][queue]"
) {
    const std::string point = GENERATE(
        as<std::string>(),
        "put: took blocks back",
        "put: has a large block",
        "put: filled a large block",
        "put: has room",
        "put: written",
        "put: before the commit"
    );
    const int pattern = GENERATE(0, 0x7f);
    QueueCore core(small());
    const auto put_large = [&](std::size_t size, int value) {
        core.put(std::vector<std::byte>(size, static_cast<std::byte>(value)), 1s);
    };
    const auto get = [&] {
        QueueItem item;
        core.get(item, 1s);
        return item.bytes().size();
    };
    for (int round = 0; round < 4; ++round) {
        for (const std::size_t size : {100'000U, 120'000U, 140'000U}) {
            put_large(size, 1);
        }
        for (const std::size_t size : {100'000U, 120'000U, 140'000U}) {
            REQUIRE(get() == size);
        }
        const int status = test::run_in_fork([&] {
            test::arm({point});
            put_large(170'000, pattern);
            return 0;
        });
        REQUIRE(status == -SIGKILL);
        INFO(point);
        for (int i = 0; i < 8; ++i) {
            REQUIRE(test::run_in_fork_for(test::patience(1s), [&] {
                        put_large(130'000, 3);
                        return get() == 130'000 ? 0 : 1;
                    }) == 0);
        }
        REQUIRE(core.size() == 0);
    }
}

TEST_CASE(
    "Queue: the reader of a large item is killed, a producer waits for its room",
    "[faults][queue]"
) {
    QueueCore core(small());
    const std::vector<std::byte> large(700'000, std::byte{1});
    core.put(large, 1s);
    const pid_t reader = test::fork_child([&]() -> int {
        QueueItem item;
        core.get(item, 1s);
        ::raise(SIGSTOP);
        return fine;
    });
    int status = 0;
    REQUIRE(::waitpid(reader, &status, WUNTRACED) == reader);
    REQUIRE(WIFSTOPPED(status));
    CHECK_THROWS_AS(core.put(large, 0s), mp::Full);
    std::array<int, 2> ready{};
    REQUIRE(::pipe(ready.data()) == 0);
    const pid_t producer = test::fork_child([&]() -> int {
        try {
            core.put(large, 30ms);
        } catch (const mp::Full&) {
            // Now it sleeps for longer.
        }
        static_cast<void>(!::write(ready[1], "r", 1));
        core.put(large, mp::forever);
        return fine;
    });
    char byte = 0;
    REQUIRE(::read(ready[0], &byte, 1) == 1);
    ::close(ready[0]);
    ::close(ready[1]);
    ::kill(reader, SIGKILL);
    CHECK(test::exit_status(reader) == -SIGKILL);
    CHECK(test::exit_status(producer) == fine);
    QueueItem item;
    core.get(item, 1s);
    CHECK(item.bytes().size() == large.size());
}
