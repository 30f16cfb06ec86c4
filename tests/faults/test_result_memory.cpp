// SPDX-License-Identifier: BSL-1.0
// The memory in which long results travel: there is none, or its worker dies in the
// middle of it. The cases: docs/faults.md.
#include "futures/process_pool.hpp"
#include "futures/wait.hpp"
#include "mp/archivable.hpp"
#include "mp/detail/call_traits.hpp"
#include "mp/errors.hpp"

#include "ported/pool_tasks.hpp"
#include "support/catch.hpp"
#include "support/memory_of.hpp"
#include "support/pools.hpp"
#include "support/start_methods.hpp"

#include <signal.h>

#include <chrono>
#include <cstddef>
#include <exception>
#include <fstream>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

using namespace std::chrono_literals;
using futures::OnWorkerLoss;
using futures::ProcessPoolExecutor;
using futures::WorkerLost;
using test::inc;
using test::on;
using test::tasks::pid;

namespace {

/// Wants so much memory as it is written, and is refused before it would be read.
struct WantsMemory {
    std::size_t size = 0;

    template <class Archive>
    void serialize(Archive& archive, unsigned) {
        archive& size;
        if constexpr (Archive::is_saving::value) {
            archive.save_binary(&size, size);
        }
    }
};

WantsMemory want_memory(std::size_t size) {
    return {size};
}

/// What the kernel would give, and a gigabyte.
std::size_t more_than_available() {
    std::ifstream file("/proc/meminfo");
    std::size_t kilobytes = 0;
    for (std::string name; file >> name;) {
        if (name == "MemAvailable:" && file >> kilobytes) {
            break;
        }
    }
    return (kilobytes << 10U) + (std::size_t{1} << 30U);
}

std::string letters(std::size_t size) {
    return std::string(size, 'x');
}

/// Ends its worker when so many parts of it are written.
struct DiesInPart {
    int part = 0;
    std::vector<char> bytes;

    template <class Archive>
    void serialize(Archive& archive, unsigned) {
        for (int i = 0; i < 4; ++i) {
            if (Archive::is_saving::value && i == part) {
                raise(SIGKILL);
            }
            archive& bytes;
        }
    }
};

constexpr std::size_t part_size = 8'000'000;

DiesInPart die_in_part(int part) {
    return {part, std::vector<char>(part_size, 'd')};
}

struct HasView {
    int number;
    std::string_view text;
};

template <class R>
using ResultOf = mp::detail::CallTraits<R (*)(int), int>;

}  // namespace

TEST_CASE(
    "D8: a result for which there is no memory fails its own future", "[faults]"
) {
    const auto context = each_pool_start_method();
    ProcessPoolExecutor pool(on(context, 1, OnWorkerLoss::isolate));
    const pid_t worker = pool.submit(pid).result(60s);
    // Longer than any arena, and no longer than one, but than the machine's memory.
    for (const std::size_t size : {std::size_t{1} << 50U, more_than_available()}) {
        CAPTURE(size);
        const auto future = pool.submit(want_memory, size);
        try {
            future.result(60s);
            FAIL_CHECK("no exception");
        } catch (const mp::SerializationError& error) {
            CHECK(error.phase == mp::SerializationPhase::encode_result);
        }
        CHECK(
            pool.submit(letters, std::size_t{3'000'000}).result(60s).size() == 3'000'000
        );
        CHECK(pool.submit(inc, 1).result(60s) == 2);
    }
    CHECK(pool.submit(pid).result(60s) == worker);
}

TEST_CASE("D9: the memory of a result that was never whole is free again", "[faults]") {
    const auto context = each_pool_start_method();
    const int workers = GENERATE(1, 2, 8);
    ProcessPoolExecutor pool(on(context, workers, OnWorkerLoss::isolate));
    for (int round = 0; round < 8; ++round) {
        const auto half = pool.submit(die_in_part, round % 4);
        CHECK_THROWS_AS(half.result(60s), WorkerLost);
    }
    CHECK(pool.submit(inc, 1).result(60s) == 2);
    CHECK(pool.statistics().workers_lost == 8);
    CHECK(test::memory_of("mp-results") < part_size);
}

TEST_CASE(
    "D10: a result that refers to its worker's memory does not compile", "[faults]"
) {
    using mp::detail::Refusal;
    STATIC_REQUIRE(ResultOf<std::string_view>::refusal_with_result == Refusal::view);
    STATIC_REQUIRE(ResultOf<std::span<int>>::refusal_with_result == Refusal::view);
    STATIC_REQUIRE(
        ResultOf<std::vector<std::string_view>>::refusal_with_result == Refusal::view
    );
    STATIC_REQUIRE(ResultOf<const char*>::refusal_with_result != Refusal::none);
    STATIC_REQUIRE(
        ResultOf<std::reference_wrapper<int>>::refusal_with_result != Refusal::none
    );
    STATIC_REQUIRE(ResultOf<HasView>::refusal_with_result != Refusal::none);
    STATIC_REQUIRE_FALSE(mp::Archivable<HasView>);
    STATIC_REQUIRE(ResultOf<std::string>::refusal_with_result == Refusal::none);
}
