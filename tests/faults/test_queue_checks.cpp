// SPDX-License-Identifier: BSL-1.0
// Where the checks of a queue end: what is legal to the last byte is no damage, and a
// call that does not wait, or that only counts, finds damage, too.
#include "mp/detail/queue_core.hpp"
#include "mp/errors.hpp"

#include "memory/process_table.hpp"
#include "queue/queue_layout.hpp"
#include "support/catch.hpp"
#include "support/fork_child.hpp"
#include "support/memory_of.hpp"
#include "support/patience.hpp"

#include <signal.h>
#include <sys/wait.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <vector>

using namespace std::chrono_literals;
using mp::detail::QueueControl;
using mp::detail::QueueCore;
using mp::detail::QueueItem;

namespace {

constexpr std::uint64_t megabyte = 1U << 20U;

enum Outcome : int { fine = 0, damaged = 10, wrong = 20, other = 30 };

template <class Body>
int outcome(Body body) {
    try {
        return body();
    } catch (const mp::DamagedError&) {
        return damaged;
    } catch (const std::exception&) {
        return other;
    }
}

/// In a child, which may not take for ever.
template <class Body>
int outcome_of(Body body) {
    return test::run_in_fork_for(test::patience(2s), [&] { return outcome(body); });
}

void put(QueueCore& core, std::size_t size, mp::Timeout timeout = 1s) {
    core.put(std::vector<std::byte>(size, std::byte{1}), timeout);
}

std::size_t get(QueueCore& core, mp::Timeout timeout = 1s) {
    QueueItem item;
    core.get(item, timeout);
    return item.bytes().size();
}

QueueControl& control(const QueueCore& core) {
    return core.control_block().as<QueueControl>();
}

}  // namespace

TEST_CASE(
    "Queue: large items that end where their area ends are no damage", "[faults][queue]"
) {
    const bool trims = GENERATE(false, true);
    const std::size_t parts = GENERATE(1U, 2U, 16U);
    QueueCore core(
        {.max_bytes = megabyte, .trim_threshold = trims ? 0 : 1024 * megabyte}
    );
    const std::size_t area = core.geometry().large_bytes;
    REQUIRE(area % (64 * parts) == 0);
    const std::size_t size = area / parts - 64;
    for (int round = 0; round < 3; ++round) {
        for (std::size_t i = 0; i < parts; ++i) {
            put(core, size);
        }
        CHECK_THROWS_AS(put(core, size, 0s), mp::Full);
        for (std::size_t i = 0; i < parts; ++i) {
            REQUIRE(get(core) == size);
        }
    }
    // Also when the front is free before the rest.
    for (std::size_t i = 0; i < 5 * parts; ++i) {
        put(core, size);
        if (parts > 2 && i == 0) {
            put(core, size);
        }
        REQUIRE(get(core) == size);
    }
    CHECK(core.size() == (parts > 2 ? 1 : 0));
}

TEST_CASE(
    "Queue: the longest item that fits is put, a longer one is refused at once",
    "[faults][queue]"
) {
    QueueCore core({.max_bytes = megabyte});
    const std::size_t most = core.geometry().large_bytes - 64;
    for (int round = 0; round < 2; ++round) {
        put(core, most, 0s);
        CHECK(get(core) == most);
        CHECK_THROWS_AS(put(core, most + 1, mp::forever), std::invalid_argument);
        CHECK_THROWS_AS(put(core, most + 33, mp::forever), std::invalid_argument);
    }
}

TEST_CASE(
    "Queue: a call that does not wait finds counts that cannot be", "[faults][queue]"
) {
    const auto made = [](auto body) {
        return outcome_of([&]() -> int {
            QueueCore core({.max_items = 4, .max_bytes = megabyte});
            for (int i = 0; i < 7; ++i) {
                put(core, 10);
                if (i < 3) {
                    get(core);
                }
            }
            try {
                body(core);
            } catch (const mp::Full&) {
                return wrong;
            } catch (const mp::Empty&) {
                return wrong;
            }
            return fine;
        });
    };
    CHECK(made([](QueueCore& core) {
              control(core).get_count.store(12);
              get(core, 0s);
          }) == damaged);
    CHECK(made([](QueueCore& core) {
              get(core);
              get(core);
              control(core).get_count.store(3);
              put(core, 10, 0s);
          }) == damaged);
}

TEST_CASE(
    "JoinableQueue: counts that cannot be end no join and no task", "[faults][queue]"
) {
    const bool of_puts = GENERATE(true, false);
    const bool joins = GENERATE(true, false);
    CHECK(outcome_of([&]() -> int {
              QueueCore core({.max_bytes = megabyte, .joinable = true});
              for (int i = 0; i < 4; ++i) {
                  put(core, 10);
              }
              get(core);
              if (of_puts) {
                  control(core).put_count.store(1);
              } else {
                  control(core).get_count.store(std::uint64_t{1} << 40U);
              }
              if (joins) {
                  return core.join(mp::Deadline(mp::forever)) ? wrong : other;
              }
              core.task_done();
              return wrong;
          }) == damaged);
}

TEST_CASE(
    "Queue: a lock that names this process, and no thread of it has it, is damage",
    "[faults][queue][slow]"
) {
    const auto child = [](auto lock, auto use) {
        return test::fork_child([=]() -> int {
            return outcome([&]() -> int {
                QueueCore core({.max_bytes = megabyte, .joinable = true});
                put(core, 10);
                put(core, 10);
                get(core);
                const auto me = core.control_block().processes().self();
                std::memcpy(static_cast<void*>(&lock(control(core))), &me, sizeof me);
                use(core);
                return wrong;
            });
        });
    };
    const std::vector<pid_t> children{
        child(
            [](QueueControl & shared) -> auto& { return shared.put_lock; },
            [](QueueCore& core) { put(core, 10, mp::forever); }
        ),
        child(
            [](QueueControl & shared) -> auto& { return shared.get_lock; },
            [](QueueCore& core) { get(core, mp::forever); }
        ),
        child(
            [](QueueControl & shared) -> auto& { return shared.done_lock; },
            [](QueueCore& core) { core.task_done(); }
        )};
    for (const pid_t process : children) {
        CHECK(test::exit_status(process) == damaged);
    }
}

TEST_CASE(
    "Queue: its memory goes back when it was shut and then emptied", "[faults][queue]"
) {
    QueueCore core({.max_bytes = 64 * megabyte, .trim_threshold = 0});
    for (int i = 0; i < 10; ++i) {
        put(core, megabyte);
        put(core, 30'000);
    }
    core.shutdown(false);
    for (int i = 0; i < 20; ++i) {
        get(core);
    }
    CHECK_THROWS_AS(get(core, 0s), mp::ShutDown);
    CHECK(test::memory_of("mp-queue") < 3 * megabyte);
}

TEST_CASE(
    "Queue: a large item that was taken is not given to a second reader",
    "[faults][queue]"
) {
    const bool still_reads = GENERATE(true, false);
    QueueCore core({.max_bytes = megabyte});
    put(core, 50'000);
    put(core, 50'000);
    const pid_t reader = test::fork_child([&]() -> int {
        QueueItem item;
        core.get(item, 1s);
        if (still_reads) {
            ::raise(SIGSTOP);
        }
        return fine;
    });
    int status = 0;
    REQUIRE(::waitpid(reader, &status, WUNTRACED) == reader);
    REQUIRE(WIFSTOPPED(status) == still_reads);
    // A word that fits all others: what it was before the commit.
    control(core).get_count.store(0);
    CHECK(outcome_of([&]() -> int {
              get(core);
              return wrong;
          }) == damaged);
    if (still_reads) {
        ::kill(reader, SIGKILL);
        CHECK(test::exit_status(reader) == -SIGKILL);
    }
}

TEST_CASE(
    "Queue: a large item whose reader was killed before its commit is another's",
    "[faults][queue]"
) {
    QueueCore core({.max_bytes = megabyte});
    put(core, 50'000);
    // The commit comes last: taken back, it is that of a process that was killed.
    REQUIRE(test::run_in_fork([&] {
                QueueItem item;
                core.get(item, 1s);
                control(core).get_count.store(0);
                ::raise(SIGKILL);
                return 0;
            }) == -SIGKILL);
    CHECK(get(core) == 50'000);
}
