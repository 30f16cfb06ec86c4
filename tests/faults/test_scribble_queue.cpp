// SPDX-License-Identifier: BSL-1.0
// A process scribbles over the memory that it shares with the others of a queue: over
// the segment of its items, the arena of its control block, the table of processes;
// while they work or while they wait. They end, with right values or with the errors of
// the queue: no crash, no hang. Each game is played in a program of its own, whose
// arenas and table are its own.
#include "mp/context.hpp"
#include "mp/errors.hpp"
#include "mp/queue.hpp"

#include "faults/scribbling.hpp"
#include "support/catch.hpp"
#include "support/fork_child.hpp"
#include "support/patience.hpp"

#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <string>
#include <thread>
#include <vector>

using namespace std::chrono_literals;

namespace {

enum Code : int {
    right = 0,
    unknown_error = 3,
    wrong_value = 4,
    hung = 5,
    crashed = 6
};

struct Item {
    int producer = 0;
    int number = 0;
    std::string text;

    template <class Archive>
    void serialize(Archive& archive, unsigned) {
        archive& producer& number& text;
    }
};

using Queue = mp::Queue<Item>;

Item item_of(int producer, int number) {
    return {
        producer,
        number,
        std::string(
            number % 7 == 3 ? 40'000 : 30, static_cast<char>('a' + number % 26)
        )};
}

/// The errors that a queue may end with.
int ended_by(const std::function<int()>& work) {
    try {
        return work();
    } catch (const mp::DamagedError&) {
        return right;
    } catch (const mp::ShutDown&) {
        return right;
    } catch (const std::exception& error) {
        std::fprintf(stderr, "unknown error: %s\n", error.what());
        return unknown_error;
    }
}

constexpr int most_items = 1'000'000;

void produce(Queue queue, int producer) {
    throw mp::SystemExit(ended_by([&] {
        for (int i = 0; i < most_items; ++i) {
            queue.put(item_of(producer, i));
        }
        return right;
    }));
}

/// Bytes of items may have been overwritten, unless it is strict.
void consume(Queue queue, bool strict) {
    throw mp::SystemExit(ended_by([&]() -> int {
        std::array<int, 8> last{};
        last.fill(-1);
        for (;;) {
            try {
                const Item item = queue.get();
                const bool whole =
                    item.producer >= 0 && item.producer < 8 &&
                    item.text == item_of(item.producer, item.number).text &&
                    item.number > last.at(static_cast<std::size_t>(item.producer));
                if (whole) {
                    last.at(static_cast<std::size_t>(item.producer)) = item.number;
                } else if (strict) {
                    return wrong_value;
                }
            } catch (const mp::SerializationError&) {
                if (strict) {
                    return wrong_value;
                }
            }
        }
    }));
}

void scribble(std::string what, int seed) {
    for (int i = 0; i < 3; ++i) {
        test::scribble_over(what, static_cast<std::uint64_t>(seed * 10 + i));
        std::this_thread::yield();
    }
}

struct Game {
    int seed = 0;
    std::string what;
    bool under_load = false;
    int method = 0;

    template <class Archive>
    void serialize(Archive& archive, unsigned) {
        archive& seed& what& under_load& method;
    }
};

void play(Game game) {
    const auto context = mp::get_context(static_cast<mp::StartMethod>(game.method));
    const bool strict = game.what == "mp-arena";
    Queue queue({.maxsize = game.seed % 2 == 0 ? 0 : 6, .max_bytes = 1U << 20U});
    Queue full({.maxsize = 2, .max_bytes = 1U << 20U});
    Queue empty({.max_bytes = 1U << 20U});
    full.put(item_of(0, 0));
    full.put(item_of(0, 1));
    std::vector<mp::Process> users;
    const auto start = [&](mp::Process process) {
        process.start();
        users.push_back(std::move(process));
    };
    for (int i = 0; i < (game.under_load ? 2 : 0); ++i) {
        start(context.Process(produce, queue, i));
        start(context.Process(consume, queue, strict));
    }
    start(context.Process(produce, full, 1));
    start(context.Process(consume, empty, strict));
    // They are at it.
    while (game.under_load && queue.empty() && users[0].is_alive()) {
        std::this_thread::yield();
    }
    auto scribbler = context.Process(scribble, game.what, game.seed);
    scribbler.start();
    int code = right;
    if (!scribbler.join(test::patience(1s)) || scribbler.exitcode() != 0) {
        code = crashed;
    }
    for (Queue* const each : {&queue, &full, &empty}) {
        bool found = false;
        const int mine = ended_by([&]() -> int {
            try {
                each->put(item_of(2, 1), 10ms);
                each->get(10ms);
            } catch (const mp::Full&) {
            } catch (const mp::Empty&) {
            } catch (const mp::SerializationError&) {
                return strict ? wrong_value : right;
            } catch (const mp::DamagedError&) {
                found = true;
                return right;
            }
            each->qsize();
            return right;
        });
        code = code == right ? mine : code;
        // Who is told that the queue is damaged has told those that wait.
        if (!found || game.seed % 2 == 0) {
            each->shutdown({.immediate = true});
        }
    }
    for (mp::Process& user : users) {
        if (!user.join(test::patience(1s))) {
            code = hung;
            user.kill();
            user.join();
        } else if (user.exitcode().value_or(crashed) < 0) {
            std::fprintf(stderr, "ended by signal %d\n", -*user.exitcode());
            code = crashed;
        } else if (user.exitcode() != 0) {
            code = *user.exitcode();
        }
    }
    throw mp::SystemExit(code);
}

void play_seeds(int first, int seeds, const char* what, bool under_load) {
    for (int seed = first; seed < first + seeds; ++seed) {
        const auto method = seed % 3 == 0   ? mp::StartMethod::fork
                            : seed % 3 == 1 ? mp::StartMethod::forkserver
                                            : mp::StartMethod::spawn;
        auto process =
            mp::get_context(mp::StartMethod::spawn)
                .Process(play, Game{seed, what, under_load, static_cast<int>(method)});
        process.start();
        INFO(what << ", seed " << seed << (under_load ? ", load" : ", idle"));
        const bool ended = process.join(test::patience(5s));
        CHECK(ended);
        if (!ended) {
            process.kill();
            process.join();
        }
        CHECK(process.exitcode() == 0);
    }
}

}  // namespace

TEST_CASE("Queue: a process scribbles over what it shares", "[faults][queue]") {
    const auto* const what = GENERATE("mp-queue", "mp-arena", "mp-processes");
    const bool under_load = GENERATE(false, true);
    play_seeds(0, test::scribble_seeds(3), what, under_load);
}

TEST_CASE(
    "Queue: a process scribbles over what it shares, three hundred seeds",
    "[.stress][queue]"
) {
    const auto* const what = GENERATE("mp-queue", "mp-arena", "mp-processes");
    const bool under_load = GENERATE(false, true);
    play_seeds(1000, test::scribble_seeds(300), what, under_load);
}
