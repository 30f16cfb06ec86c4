// SPDX-License-Identifier: BSL-1.0
// What travels between the ranks: arguments, results and exceptions of any kind and
// size, and those that do not travel.
#include "futures/mpi_pool.hpp"
#include "futures/process_pool/row_tasks.hpp"
#include "mp/errors.hpp"
#include "mp/remote_error.hpp"

#include "mpi/mpi_pools.hpp"
#include "support/catch.hpp"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <fstream>
#include <stdexcept>
#include <string>
#include <vector>

using namespace std::chrono_literals;
using futures::Future;
using futures::MPIPoolExecutor;
using futures::MPIPoolOptions;
using mp::SerializationError;
using mp::SerializationPhase;
using test::ContainsSubstring;
using test::twice;
using test::rows::commit_in_task;
using test::rows::Deed;
using test::rows::expect_unserialised;
using test::rows::give;
using test::rows::Misbehaving;
using test::rows::take;

namespace {

/// One rank, or one worker of it.
MPIPoolOptions one_of_each_kind() {
    return test::in_one_rank(test::each_isolation());
}

/// Counts how often it was written and read, on its way so far.
struct Traveller {
    int written = 0;
    int read = 0;
    std::string name;

    template <class Archive>
    void serialize(Archive& archive, unsigned) {
        if constexpr (Archive::is_saving::value) {
            ++written;
        }
        archive& written;
        archive& read;
        archive& name;
        if constexpr (Archive::is_loading::value) {
            ++read;
        }
    }
};

Traveller renamed(Traveller traveller) {
    traveller.name += "!";
    return traveller;
}

/// An exception of this program's own.
struct Overdrawn : std::runtime_error {
    explicit Overdrawn(const std::string& what) : std::runtime_error(what) {}
};

const bool overdrawn_is_known = (mp::register_exception<Overdrawn>(), true);

/// One that nobody has registered.
struct Unheard : std::runtime_error {
    using std::runtime_error::runtime_error;
};

void overdraw(int amount) {
    throw Overdrawn("by " + std::to_string(amount));
}

void throw_unheard() {
    throw Unheard("of this");
}

void throw_with_cause() {
    try {
        throw std::out_of_range("the cause");
    } catch (...) {
        std::throw_with_nested(std::runtime_error("the effect"));
    }
}

int throw_int() {
    throw 7;
}

using Bytes = std::vector<unsigned char>;

/// A piece that is in the wrong place differs.
Bytes pattern(std::size_t size) {
    constexpr std::size_t period = 65'521;  // a prime number
    Bytes bytes(size);
    for (std::size_t i = 0; i < std::min(size, period); ++i) {
        bytes[i] = static_cast<unsigned char>(i + (i >> 8U) * 3);
    }
    for (std::size_t i = period; i < size; i += period) {
        std::copy_n(
            bytes.begin(),
            std::min(period, size - i),
            bytes.begin() + static_cast<std::ptrdiff_t>(i)
        );
    }
    return bytes;
}

Bytes give_bytes(std::size_t size) {
    return pattern(size);
}

bool is_pattern(const Bytes& bytes) {
    return bytes == pattern(bytes.size());
}

std::size_t available_memory() {
    std::ifstream file("/proc/meminfo");
    std::string line;
    while (std::getline(file, line)) {
        if (line.starts_with("MemAvailable:")) {
            return std::stoull(line.substr(line.find(':') + 1)) << 10U;
        }
    }
    return 0;
}

Bytes reversed(Bytes bytes) {
    std::reverse(bytes.begin(), bytes.end());
    return bytes;
}

}  // namespace

TEST_CASE(
    "mpi4py::test_futures::Pickle::good: an object travels there and back", "[mpi]"
) {
    MPIPoolExecutor executor(one_of_each_kind());
    const auto traveller = executor.submit(renamed, Traveller{.name = "a"}).result(30s);
    CHECK(traveller.name == "a!");
    CHECK(traveller.written == 2);
    CHECK(traveller.read == 2);
}

TEST_CASE(
    "mpi4py::test_futures::Pickle::bad_encode: what cannot be written fails its own "
    "future",
    "[mpi]"
) {
    MPIPoolExecutor executor(one_of_each_kind());
    const auto argument =
        executor.submit(take, Misbehaving{.when_written = Deed::throw_error});
    const auto result = executor.submit(give, Deed::throw_error, Deed::none);
    const auto next = executor.submit(twice, 21);
    expect_unserialised(argument, SerializationPhase::encode_task);
    expect_unserialised(result, SerializationPhase::encode_result);
    CHECK(next.result(30s) == 42);
    CHECK_THROWS_AS(argument.result(), SerializationError);
    const auto texts = test::texts_of_throwing([&] { result.result(); });
    CHECK_THAT(texts, ContainsSubstring("pid "));
}

TEST_CASE(
    "mpi4py::test_futures::Pickle::bad_decode: what cannot be read fails its own "
    "future",
    "[mpi]"
) {
    MPIPoolExecutor executor(one_of_each_kind());
    const auto argument =
        executor.submit(take, Misbehaving{.when_read = Deed::throw_error});
    const auto result = executor.submit(give, Deed::none, Deed::throw_error);
    const auto next = executor.submit(twice, 21);
    expect_unserialised(argument, SerializationPhase::decode_task);
    expect_unserialised(result, SerializationPhase::decode_result);
    CHECK(next.result(30s) == 42);
    CHECK_THROWS_AS(result.result(), SerializationError);  // as often as it is asked
    const auto texts = test::texts_of_throwing([&] { argument.result(); });
    CHECK_THAT(texts, ContainsSubstring("pid "));
}

TEST_CASE("MPIPoolExecutor: SystemExit of a task reaches its future", "[mpi]") {
    MPIPoolExecutor executor(one_of_each_kind());
    CHECK_THROWS_AS(
        executor.submit(commit_in_task, Deed::throw_exit).result(30s), mp::SystemExit
    );
    CHECK_THROWS_AS(
        executor.submit(give, Deed::throw_exit, Deed::none).result(30s), mp::SystemExit
    );
    CHECK(executor.submit(twice, 21).result(30s) == 42);
}

TEST_CASE(
    "MPIPoolExecutor: an exception is of its own type, and tells where", "[mpi]"
) {
    REQUIRE(overdrawn_is_known);
    MPIPoolExecutor executor(one_of_each_kind());
    const auto own = executor.submit(overdraw, 12);
    CHECK_THROWS_AS(own.result(30s), Overdrawn);
    CHECK_THROWS_WITH(own.result(), "by 12");
    const auto texts = test::texts_of_throwing([&] { own.result(); });
    CHECK_THAT(texts, ContainsSubstring("pid "));

    const auto unheard = executor.submit(throw_unheard);
    try {
        unheard.result(30s);
        FAIL_CHECK("no exception");
    } catch (const mp::RemoteError& error) {
        CHECK_THAT(error.type_name, ContainsSubstring("Unheard"));
        CHECK(std::string(error.what()) == "of this");
    }
    CHECK_THROWS_AS(executor.submit(throw_int).result(30s), mp::RemoteError);

    const auto nested = executor.submit(throw_with_cause);
    CHECK_THROWS_WITH(nested.result(30s), "the effect");
    CHECK_THAT(
        test::texts_of_throwing([&] { nested.result(); }),
        ContainsSubstring("the cause")
    );
}

TEST_CASE("MPIPoolExecutor: without isolation an exception names the rank", "[mpi]") {
    MPIPoolExecutor executor;
    const auto rank = executor.statistics().ranks.front();
    MPIPoolExecutor first(1);
    const auto texts =
        test::texts_of_throwing([&] { first.submit(overdraw, 1).result(); });
    CHECK_THAT(texts, ContainsSubstring("rank " + std::to_string(rank.rank) + " of "));
    CHECK_THAT(texts, ContainsSubstring("on host " + rank.host));
    CHECK_THAT(texts, ContainsSubstring("pid " + std::to_string(rank.pid)));
}

TEST_CASE("MPIPoolExecutor: arguments and results of any size", "[mpi]") {
    // A short frame is one message, up to 4096 bytes.
    const auto size = GENERATE(
        as<std::size_t>(), 0, 1, 4000, 4095, 4096, 4097, 65'536, std::size_t{1} << 20U
    );
    MPIPoolExecutor executor(one_of_each_kind());
    // What else stands in the frame varies: all sizes around it.
    const std::size_t around = size >= 4000 && size < 5000 ? 100 : 1;
    for (std::size_t more = 0; more < around; ++more) {
        const Bytes bytes = pattern(size + more);
        REQUIRE(executor.submit(is_pattern, bytes).result(30s));
        REQUIRE(executor.submit(give_bytes, bytes.size()).result(30s) == bytes);
    }
    CHECK(
        executor.submit(reversed, pattern(size)).result(30s) == reversed(pattern(size))
    );
}

TEST_CASE("MPIPoolExecutor: arguments and results of 64 MiB", "[mpi]") {
    constexpr std::size_t size = std::size_t{64} << 20U;
    MPIPoolExecutor executor;
    const auto given = executor.submit(give_bytes, size);
    const auto taken = executor.submit(is_pattern, pattern(size));
    const auto small = executor.submit(twice, 21);
    CHECK(taken.result(30s));
    CHECK(given.result(30s) == pattern(size));
    CHECK(small.result(30s) == 42);
}

TEST_CASE("MPIPoolExecutor: many large ones at a time, both ways", "[mpi]") {
    MPIPoolExecutor executor({.credits = 4});
    std::vector<Future<Bytes>> all;
    for (std::size_t i = 0; i < 20; ++i) {
        all.push_back(executor.submit(reversed, pattern(300'000 + i)));
    }
    for (std::size_t i = 0; i < all.size(); ++i) {
        CHECK(all[i].result(30s) == reversed(pattern(300'000 + i)));
    }
}

TEST_CASE("MPIPoolExecutor: a message longer than MPI can count", "[.stress][mpi]") {
    constexpr std::size_t size = (std::size_t{1} << 31U) + 100'000;
    // At either end it stands there twice, and grows on its way.
    if (available_memory() < 7 * size) {
        WARN("not run: it takes 14 GiB of memory");
        return;
    }
    MPIPoolExecutor executor;
    CHECK(executor.submit(is_pattern, pattern(size)).result(300s));
    CHECK(executor.submit(give_bytes, size).result(300s) == pattern(size));
    CHECK(executor.submit(twice, 21).result(30s) == 42);
}
