// SPDX-License-Identifier: BSL-1.0
// Two processes wake each other in turns, with each of the things to wait for.
#include "mp/mp.hpp"

#include "bench.hpp"

#include <mutex>

namespace bench {

namespace {

struct Semaphores {
    mp::Semaphore there{0};
    mp::Semaphore back{0};

    void ask() {
        there.release();
        back.acquire();
    }

    void answer() {
        there.acquire();
        back.release();
    }
};

struct Events {
    mp::Event there;
    mp::Event back;

    void ask() {
        there.set();
        back.wait();
        back.clear();
    }

    void answer() {
        there.wait();
        there.clear();
        back.set();
    }
};

struct Turns {
    mp::Condition changed;
    mp::RawValue<int> turn{0};

    void pass_on(int mine) {
        const std::lock_guard lock(changed);
        changed.wait_for([&] { return *turn == mine; });
        *turn = 1 - mine;
        changed.notify();
    }

    void ask() { pass_on(0); }

    void answer() { pass_on(1); }
};

struct Meetings {
    mp::Barrier barrier{2};

    void ask() { barrier.wait(); }

    void answer() { barrier.wait(); }
};

template <class Pair>
double microseconds_of(const Settings& settings) {
    const int rounds = settings.quick ? 2 : 11;
    const int count = settings.quick ? 500 : 10'000;
    Pair pair;
    auto other = mp::get_context("fork").Process([&pair, turns = (rounds + 1) * count] {
        for (int i = 0; i < turns; ++i) {
            pair.answer();
        }
    });
    other.start();
    const double seconds = seconds_of(rounds, [&] {
        for (int i = 0; i < count; ++i) {
            pair.ask();
        }
    });
    other.join();
    return seconds / count * 1e6;
}

}  // namespace

void bench_signals(Table& table, const Settings& settings) {
    const auto python = python_figures(settings, "signals");
    const auto add = [&](const char* name, double ours) {
        Row row{
            "two processes wake each other",
            name,
            Unit::microseconds,
            ours,
            {},
            "CPython",
            10};
        add_figure(row, "CPython", python, name);
        table.add(std::move(row));
    };
    add("Semaphore", microseconds_of<Semaphores>(settings));
    add("Event", microseconds_of<Events>(settings));
    add("Condition", microseconds_of<Turns>(settings));
    add("Barrier", microseconds_of<Meetings>(settings));
}

}  // namespace bench
