// SPDX-License-Identifier: BSL-1.0
// Arguments and results that misbehave as they are written or read, what tasks throw,
// and how they end their worker. The cases: docs/faults.md.
#include "futures/process_pool.hpp"
#include "futures/process_pool/row_tasks.hpp"
#include "mp/remote_error.hpp"

#include "ported/pool_tasks.hpp"
#include "support/catch.hpp"
#include "support/gate.hpp"
#include "support/pools.hpp"
#include "support/start_methods.hpp"

#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <cstddef>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

using namespace std::chrono_literals;
using futures::Future;
using futures::OnWorkerLoss;
using futures::ProcessPoolExecutor;
using mp::SerializationPhase;
using test::Gate;
using test::inc;
using test::on;
using test::rows::Deed;
using test::rows::expect_lost;
using test::rows::expect_unserialised;
using test::rows::give;
using test::rows::Misbehaving;
using test::rows::take;
using test::tasks::pid;

namespace {

/// Throws something of no known type as it is written.
struct ThrowsNumber {
    template <class Archive>
    void serialize(Archive&, unsigned) {
        throw 42;
    }
};

int take_number_thrower(const ThrowsNumber&) {
    return 1;
}

/// Waits as it is written, and throws then.
struct WaitsAndThrows {
    std::string bell;
    std::string gate;

    template <class Archive>
    void serialize(Archive& archive, unsigned) {
        if constexpr (Archive::is_saving::value) {
            test::ring(bell);
            test::pass(gate);
            throw std::domain_error("misbehaved");
        }
        archive& bell& gate;
    }
};

int take_waiting(const WaitsAndThrows&) {
    return 1;
}

/// Reads more than it has written, or less.
struct Unequal {
    int more = 0;

    template <class Archive>
    void serialize(Archive& archive, unsigned) {
        archive& more;
        std::uint64_t filler = 0;
        const int written = more < 0 ? 2 : 0;
        const int read = more > 0 ? 2 : 0;
        for (int i = 0; i < (Archive::is_saving::value ? written : read); ++i) {
            archive& filler;
        }
    }
};

int take_unequal(const Unequal&) {
    return 1;
}

/// A result of many megabytes whose worker is killed in the middle of it.
struct KilledHalfWritten {
    std::vector<char> first;

    template <class Archive>
    void serialize(Archive& archive, unsigned) {
        archive& first;
        if constexpr (Archive::is_saving::value) {
            raise(SIGKILL);
        }
        archive& first;
    }
};

KilledHalfWritten give_half(std::size_t size) {
    return {std::vector<char>(size)};
}

void throw_number() {
    throw 42;
}

void throw_runtime_error() {
    throw std::runtime_error("a task's error");
}

int recurse_for_ever(int depth) {
    volatile char room[4096];
    room[0] = static_cast<char>(depth);
    return depth < 0 ? 0 : recurse_for_ever(depth + 1) + room[0];
}

void throw_out_of_noexcept() noexcept {
    throw_runtime_error();
}

/// A child of its own goes on with all that it has open.
void leave_a_child_and_die(const std::string& gate) {
    if (fork() == 0) {
        test::pass(gate);
        _exit(0);
    }
    raise(SIGKILL);
}

std::size_t available_memory() {
    std::ifstream file("/proc/meminfo");
    std::size_t kilobytes = 0;
    for (std::string name; file >> name;) {
        if (name == "MemAvailable:" && file >> kilobytes) {
            return kilobytes * 1024;
        }
    }
    return 0;
}

/// Of 1, 2 and 8 workers, by each start method.
ProcessPoolExecutor isolating_pool() {
    const auto context = each_pool_start_method();
    const int workers = GENERATE(1, 2, 8);
    return ProcessPoolExecutor(on(context, workers, OnWorkerLoss::isolate));
}

}  // namespace

TEST_CASE(
    "A1 A2: an argument that cannot be written fails its own future", "[faults]"
) {
    auto pool = isolating_pool();
    const auto bad = pool.submit(take, Misbehaving{.when_written = Deed::throw_error});
    expect_unserialised(bad, SerializationPhase::encode_task);
    try {
        bad.result();
    } catch (const mp::SerializationError& error) {
        CHECK_THROWS_AS(std::rethrow_if_nested(error), std::domain_error);
    }
    CHECK_THROWS_WITH(
        pool.submit(take_number_thrower, ThrowsNumber()).result(60s),
        test::ContainsSubstring("unknown exception")
    );
    CHECK(pool.submit(inc, 1).result(60s) == 2);
    CHECK(pool.statistics().workers_lost == 0);
}

TEST_CASE("A4: a hundred that cannot be written, a hundred that can", "[faults]") {
    auto pool = isolating_pool();
    std::vector<Future<int>> bad;
    std::vector<Future<int>> good;
    for (int i = 0; i < 100; ++i) {
        bad.push_back(pool.submit(take, Misbehaving{.when_written = Deed::throw_error})
        );
        good.push_back(pool.submit(inc, i));
    }
    for (int i = 0; i < 100; ++i) {
        const auto at = static_cast<std::size_t>(i);
        expect_unserialised(bad[at], SerializationPhase::encode_task);
        CHECK(good[at].result(60s) == i + 1);
    }
}

// Three copies of it exist for a moment.
TEST_CASE(
    "A7 loky::process_executor::large_data_2_2_GB: an argument whose size no 32 bits "
    "hold",
    "[slow][faults][no-asan][no-tsan]"
) {
    constexpr std::size_t size = 2'200'000'000;
    if (available_memory() / 5 < size) {
        WARN("too little memory for this case");
        return;
    }
    const auto last_of = [](const std::string& text) {
        return std::pair(text.size(), text.back());
    };
    ProcessPoolExecutor pool(on(mp::get_context("forkserver"), 1));
    std::string text(size, 'a');
    text.back() = 'z';
    const auto [arrived, last] = pool.submit(last_of, text).result();
    CHECK(arrived == size);
    CHECK(last == 'z');
}

TEST_CASE("A6: a shutdown while an argument is written that throws then", "[faults]") {
    const Gate bell;
    const Gate gate;
    auto pool = isolating_pool();
    pool.submit(inc, 0).result(60s);
    Future<int> late;
    std::thread submitting([&] {
        late = pool.submit(take_waiting, WaitsAndThrows{bell.path(), gate.path()});
    });
    REQUIRE(bell.wait_for(1));
    pool.shutdown({.wait = false});
    gate.open(1);
    submitting.join();
    expect_unserialised(late, SerializationPhase::encode_task);
    pool.shutdown();
}

TEST_CASE(
    "B1 B2 B4: an argument that cannot be read, and one that ends its worker",
    "[faults]"
) {
    auto pool = isolating_pool();
    expect_unserialised(
        pool.submit(take, Misbehaving{.when_read = Deed::throw_error}),
        SerializationPhase::decode_task
    );
    CHECK(pool.statistics().workers_lost == 0);
    const auto exits = pool.submit(take, Misbehaving{.when_read = Deed::exit_process});
    CHECK(expect_lost(exits).report().exit_code == 0);
    const auto crashes = pool.submit(take, Misbehaving{.when_read = Deed::crash});
    CHECK(expect_lost(crashes).report().signal == SIGSEGV);
    CHECK(pool.submit(inc, 1).result(60s) == 2);
}

TEST_CASE("B6: an argument that reads more or less than was written", "[faults]") {
    auto pool = isolating_pool();
    for (const int more : {1, -1}) {
        const auto future = pool.submit(take_unequal, Unequal{more});
        CHECK_THROWS_AS(future.result(60s), mp::SerializationError);
        CHECK(pool.submit(inc, 1).result(60s) == 2);
    }
    CHECK(pool.submit(take_unequal, Unequal{0}).result(60s) == 1);
    CHECK(pool.statistics().workers_lost == 0);
}

TEST_CASE("C1 C2: what a task throws reaches its future", "[faults]") {
    auto pool = isolating_pool();
    const auto error = pool.submit(throw_runtime_error);
    CHECK_THROWS_AS(error.result(60s), std::runtime_error);
    CHECK_THROWS_WITH(error.result(), "a task's error");
    const auto number = pool.submit(throw_number);
    CHECK_THROWS_AS(number.result(60s), mp::RemoteError);
    try {
        number.result();
    } catch (const mp::RemoteError& e) {
        CHECK(e.type_name == "int");
    }
    CHECK(pool.statistics().workers_lost == 0);
}

// The sanitizer ends a program at such a read before the kernel does.
TEST_CASE("C4: a task whose stack overflows", "[faults][no-asan][no-tsan]") {
    auto pool = isolating_pool();
    CHECK(expect_lost(pool.submit(recurse_for_ever, 0)).report().signal == SIGSEGV);
    CHECK(pool.submit(inc, 1).result(60s) == 2);
}

TEST_CASE("C5: a task that aborts, and one that may not throw", "[faults]") {
    auto pool = isolating_pool();
    const auto aborts = pool.submit([] { std::abort(); });
    CHECK(expect_lost(aborts).report().signal == SIGABRT);
    const auto throws = pool.submit(throw_out_of_noexcept);
    CHECK(expect_lost(throws).report().signal == SIGABRT);
    CHECK(pool.submit(inc, 1).result(60s) == 2);
}

TEST_CASE("C21: a dead worker is seen though a child of it lives on", "[faults]") {
    const Gate gate;
    auto pool = isolating_pool();
    const auto dies = pool.submit(leave_a_child_and_die, gate.path());
    CHECK(expect_lost(dies).report().signal == SIGKILL);
    CHECK(pool.submit(inc, 1).result(60s) == 2);
    gate.open(1);
}

TEST_CASE(
    "D1 D2: a result that cannot be written, and one that ends its worker", "[faults]"
) {
    auto pool = isolating_pool();
    expect_unserialised(
        pool.submit(give, Deed::throw_error, Deed::none),
        SerializationPhase::encode_result
    );
    CHECK(pool.statistics().workers_lost == 0);
    const auto crashes = pool.submit(give, Deed::crash, Deed::none);
    CHECK(expect_lost(crashes).report().signal == SIGSEGV);
    CHECK(pool.submit(inc, 1).result(60s) == 2);
}

TEST_CASE("D5: a worker that is killed in the middle of a large result", "[faults]") {
    auto pool = isolating_pool();
    const auto half = pool.submit(give_half, std::size_t{30'000'000});
    CHECK(expect_lost(half).report().signal == SIGKILL);
    CHECK(pool.submit(inc, 1).result(60s) == 2);
}

TEST_CASE("E1: a result that cannot be read here fails its own future", "[faults]") {
    auto pool = isolating_pool();
    expect_unserialised(
        pool.submit(give, Deed::none, Deed::throw_error),
        SerializationPhase::decode_result
    );
    CHECK(pool.submit(inc, 1).result(60s) == 2);
    CHECK(pool.statistics().workers_lost == 0);
}

TEST_CASE("I13: large arguments that wait are cancelled", "[faults]") {
    const auto context = each_pool_start_method();
    const Gate gate;
    ProcessPoolExecutor pool(on(context, 1, OnWorkerLoss::isolate));
    const auto busy = pool.submit(test::pass, gate.path());
    const auto size_of = [](const std::vector<char>& bytes) {
        return bytes.size();
    };
    std::vector<Future<std::size_t>> all;
    for (int i = 0; i < 4; ++i) {
        all.push_back(pool.submit(size_of, std::vector<char>(50'000'000)));
    }
    CHECK(all[1].cancel());
    CHECK(all[3].cancel());
    gate.open(1);
    busy.result(60s);
    CHECK(all[0].result(60s) == 50'000'000);
    CHECK(all[2].result(60s) == 50'000'000);
    CHECK_THROWS_AS(all[1].result(60s), futures::CancelledError);
    CHECK(pool.submit(inc, 1).result(60s) == 2);
}
