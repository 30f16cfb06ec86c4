// SPDX-License-Identifier: BSL-1.0
// worker_local(): one object of a type in each process.
#include "mp/errors.hpp"
#include "mp/worker_local.hpp"

#include "support/catch.hpp"
#include "support/fork_child.hpp"

#include <atomic>
#include <stdexcept>
#include <thread>
#include <vector>

namespace {

struct Counter {
    int value = 0;
};

std::atomic<int> made{0};
std::atomic<int> destroyed{0};

struct Slow {
    Slow() {
        ++made;
        std::this_thread::yield();
    }

    Slow(const Slow&) = delete;
    Slow& operator=(const Slow&) = delete;

    ~Slow() { ++destroyed; }
};

struct Inner {
    int value = 3;
};

struct Outer {
    int value = mp::worker_local<Inner>().value + 1;
};

struct Endless {
    Endless() { mp::worker_local<Endless>(); }
};

int left_ends = 0;
int right_ends = 0;

struct Right;

/// Two that ask for each other when they are destroyed.
struct Left {
    Left() = default;
    Left(const Left&) = delete;
    Left& operator=(const Left&) = delete;
    ~Left();
};

struct Right {
    Right() = default;
    Right(const Right&) = delete;
    Right& operator=(const Right&) = delete;

    ~Right() {
        ++right_ends;
        mp::worker_local<Left>();
    }
};

Left::~Left() {
    ++left_ends;
    mp::worker_local<Right>();
}

bool may_be_made = false;

struct Picky {
    Picky() {
        if (!may_be_made) {
            throw std::runtime_error("not now");
        }
    }

    int value = 5;
};

}  // namespace

TEST_CASE("worker_local: one object of a type, the same for all threads") {
    std::vector<std::thread> threads;
    std::atomic<int> others{0};
    Slow* const mine = &mp::worker_local<Slow>();
    for (int i = 0; i < 4; ++i) {
        threads.emplace_back([&] { others += &mp::worker_local<Slow>() != mine; });
    }
    for (auto& thread : threads) {
        thread.join();
    }
    CHECK(others == 0);
    CHECK(made == 1);
    mp::detail::destroy_worker_locals();
    CHECK(destroyed == 1);
    mp::worker_local<Slow>();
    CHECK(made == 2);
    mp::detail::destroy_worker_locals();
}

TEST_CASE("worker_local: a constructor may ask for another object, not for its own") {
    CHECK(mp::worker_local<Outer>().value == 4);
    CHECK_THROWS_AS(mp::worker_local<Endless>(), mp::StateError);
    mp::detail::destroy_worker_locals();
}

TEST_CASE("worker_local: after a constructor that threw the next call tries again") {
    CHECK_THROWS_AS(mp::worker_local<Picky>(), std::runtime_error);
    may_be_made = true;
    CHECK(mp::worker_local<Picky>().value == 5);
    mp::detail::destroy_worker_locals();
}

TEST_CASE("worker_local: destructors that ask for each other come to an end") {
    mp::worker_local<Left>();
    mp::detail::destroy_worker_locals();
    CHECK(left_ends == 4);
    CHECK(right_ends == 4);
}

TEST_CASE("worker_local: a forked child has an object of its own") {
    mp::worker_local<Counter>().value = 7;
    const auto child = [] {
        const int found = mp::worker_local<Counter>().value;
        mp::worker_local<Counter>().value = 1;
        return found;
    };
    CHECK(test::run_in_fork(child) == 0);
    CHECK(mp::worker_local<Counter>().value == 7);
    mp::detail::destroy_worker_locals();
}
