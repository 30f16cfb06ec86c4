// SPDX-License-Identifier: BSL-1.0
// What tasks, their arguments and their results throw, and what of it the caller sees:
// behaviours of other pools, by their ids.
#include "futures/process_pool.hpp"
#include "futures/process_pool/row_tasks.hpp"
#include "futures/thread_pool.hpp"
#include "futures/wait.hpp"
#include "mp/queue.hpp"
#include "mp/remote_error.hpp"

#include "ported/pool_tasks.hpp"
#include "support/catch.hpp"
#include "support/gate.hpp"
#include "support/pools.hpp"
#include "support/start_methods.hpp"
#include "support/temp_dir.hpp"

#include <dlfcn.h>

#include <chrono>
#include <exception>
#include <filesystem>
#include <numeric>
#include <stdexcept>
#include <string>
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
using test::rows::texts_of;
using test::tasks::fail;
using test::tasks::pid;
using test::tasks::ring_and_pass;

namespace {

/// An error that is a value as well.
struct Complaint : std::exception {
    int number = 0;

    const char* what() const noexcept override { return "a complaint"; }

    template <class Archive>
    void serialize(Archive& archive, unsigned) {
        archive& number;
    }
};

Complaint complain(int number) {
    Complaint complaint;
    complaint.number = number;
    return complaint;
}

/// Nothing of it can be changed once it is made.
class FrozenError : public std::exception {
public:
    explicit FrozenError(const std::string& text) : text_(text) {}

    FrozenError(const FrozenError&) = default;
    FrozenError& operator=(const FrozenError&) = delete;

    const char* what() const noexcept override { return text_.c_str(); }

private:
    const std::string text_;
};

/// Nothing can be nested in it.
class LastError final : public std::exception {
public:
    explicit LastError(std::string text) : text_(std::move(text)) {}

    const char* what() const noexcept override { return text_.c_str(); }

private:
    std::string text_;
};

/// Its own serialize() throws.
struct UnwritableError : std::exception {
    const char* what() const noexcept override { return "nobody can write me"; }

    template <class Archive>
    void serialize(Archive&, unsigned) {
        throw std::logic_error("no");
    }
};

const bool errors_are_known =
    (mp::register_exception<FrozenError>(),
     mp::register_exception<LastError>(),
     mp::register_exception<UnwritableError>(),
     true);

template <class Error>
void throw_with_text() {
    throw Error("it is " + std::to_string(42));
}

void throw_unwritable() {
    throw UnwritableError();
}

void throw_text_of(std::size_t size) {
    throw std::runtime_error(std::string(size, 'x'));
}

void throw_chain() {
    try {
        throw std::domain_error("the inner one");
    } catch (...) {
        std::throw_with_nested(std::range_error("the outer one"));
    }
}

int refuse_five(int x) {
    if (x == 5) {
        throw std::domain_error("five");
    }
    return x;
}

struct Shape {
    int sides = 0;

    static std::string kind() { return "shape"; }

    int count() const { return sides; }

    int times(int factor) const { return sides * factor; }

    template <class Archive>
    void serialize(Archive& archive, unsigned) {
        archive& sides;
    }
};

struct Square : Shape {
    Square() : Shape{4} {}

    static std::string kind() { return "square"; }

    int count() const { return 100 + sides; }
};

struct Triangle : Shape {
    Triangle() : Shape{3} {}

    static std::string kind() { return "triangle"; }

    int count() const { return 1000 + sides; }
};

/// A callable with data of its own.
struct Adder {
    int summand = 0;

    int operator()(int x) const { return x + summand; }

    template <class Archive>
    void serialize(Archive& archive, unsigned) {
        archive& summand;
    }
};

/// A callable that cannot be read.
struct UnreadableCall {
    int summand = 0;

    int operator()(int x) const { return x + summand; }

    template <class Archive>
    void serialize(Archive& archive, unsigned) {
        archive& summand;
        if constexpr (Archive::is_loading::value) {
            throw std::domain_error("misbehaved");
        }
    }
};

}  // namespace

TEST_CASE("pebble::process_pool::error_returned: an error that is returned is a value"
) {
    ProcessPoolExecutor pool(on(each_pool_start_method(), 1));
    const auto future = pool.submit(complain, 7);
    CHECK(future.result(60s).number == 7);
    CHECK(future.exception() == nullptr);
    futures::ThreadPoolExecutor threads(1);
    const auto returned = threads.submit([] {
        return std::make_exception_ptr(std::domain_error("returned"));
    });
    CHECK_THROWS_AS(std::rethrow_exception(returned.result()), std::domain_error);
    CHECK(returned.exception() == nullptr);
}

TEST_CASE("pebble::process_pool::frozen_error: it arrives as what it is") {
    ProcessPoolExecutor pool(on(each_pool_start_method(), 1));
    const auto frozen = pool.submit(throw_with_text<FrozenError>);
    CHECK_THROWS_AS(frozen.result(60s), FrozenError);
    CHECK_THROWS_WITH(frozen.result(), "it is 42");
    const auto last = pool.submit(throw_with_text<LastError>);
    CHECK_THROWS_AS(last.result(60s), LastError);
    CHECK_THROWS_WITH(last.result(), "it is 42");
}

TEST_CASE("pebble::process_pool::exception_isolated: the same worker goes on") {
    ProcessPoolExecutor pool(on(each_pool_start_method(), 1));
    const pid_t before = pool.submit(pid).result(60s);
    const auto failed = pool.submit(fail);
    const auto after = pool.submit(pid);
    CHECK_THROWS_WITH(failed.result(60s), "failed on purpose");
    CHECK(after.result(60s) == before);
}

TEST_CASE(
    "pebble::process_pool::pickle_function: a member function of a queue is a task"
) {
    mp::Queue<int> queue;
    auto options = on(each_pool_start_method(), 1);
    options.shared = {queue};
    ProcessPoolExecutor pool(options);
    pool.submit(&mp::Queue<int>::put_nowait, queue, 17).result(60s);
    CHECK(queue.get(60s) == 17);
}

TEST_CASE("pebble::concurrent_process::class_method: static members and members of the "
          "object's class") {
    ProcessPoolExecutor pool(on(each_pool_start_method(), 1));
    CHECK(pool.submit(&Shape::kind).result(60s) == "shape");
    CHECK(pool.submit(&Square::kind).result(60s) == "square");
    CHECK(pool.submit(&Triangle::kind).result(60s) == "triangle");
    CHECK(pool.submit(&Shape::count, Shape{7}).result(60s) == 7);
    CHECK(pool.submit(&Square::count, Square()).result(60s) == 104);
    CHECK(pool.submit(&Triangle::count, Triangle()).result(60s) == 1003);
    CHECK(pool.submit(&Shape::times, Triangle(), 5).result(60s) == 15);
}

TEST_CASE(
    "pebble::concurrent_process::callable_objects: with data and without, they run "
    "there"
) {
    ProcessPoolExecutor pool(on(each_pool_start_method(), 1));
    CHECK(pool.submit(Adder{5}, 2).result(60s) == 7);
    CHECK(pool.submit(std::plus<int>(), 1, 2).result(60s) == 3);
}

TEST_CASE(
    "pebble::concurrent_process::pickling_error_decorated: a result that cannot be "
    "written fails its future"
) {
    ProcessPoolExecutor pool(on(each_pool_start_method(), 1));
    const auto future = pool.submit(give, Deed::throw_error, Deed::none);
    expect_unserialised(future, SerializationPhase::encode_result);
    CHECK(pool.submit(inc, 1).result(60s) == 2);
}

TEST_CASE(
    "mpire::pool::apply.second_raises.exception: the first one is not touched by it"
) {
    ProcessPoolExecutor pool(on(each_pool_start_method(), 2));
    const Gate bell;
    const Gate gate;
    const auto first = pool.submit(ring_and_pass, bell.path(), gate.path(), 42);
    REQUIRE(bell.wait_for(1));
    const auto second = pool.submit(fail);
    CHECK_THROWS_WITH(second.result(60s), "failed on purpose");
    CHECK_FALSE(first.done());
    gate.open(1);
    CHECK(first.result(60s) == 42);
}

TEST_CASE(
    "mpire::pool::exceptions.one_raises: twelve results and one error, each in its "
    "place"
) {
    const mp::Context context = each_pool_start_method();
    std::vector<int> inputs(13);
    std::iota(inputs.begin(), inputs.end(), 0);
    const std::vector<futures::MapOptions> ways{
        {}, {.buffersize = 2}, {.chunksize = 3}, {.chunksize = 3, .buffersize = 4}};
    for (const int workers : {1, 2}) {
        ProcessPoolExecutor pool(on(context, workers));
        for (const auto& way : ways) {
            auto results = pool.map(way, refuse_five, inputs);
            int at = 0;
            for (auto it = results.begin(); it != results.end(); ++it, ++at) {
                if (at == 5) {
                    CHECK_THROWS_WITH(*it, "five");
                } else {
                    CHECK(*it == at);
                }
            }
            CHECK(at == 13);
        }
    }
}

TEST_CASE("loky::reusable_executor::crashes.at_result_decode: only that future fails") {
    ProcessPoolExecutor pool(on(each_pool_start_method(), 1));
    const auto exits = pool.submit(give, Deed::none, Deed::throw_exit);
    CHECK_THROWS_AS(exits.result(60s), mp::SystemExit);
    const auto throws = pool.submit(give, Deed::none, Deed::throw_error);
    expect_unserialised(throws, SerializationPhase::decode_result);
    CHECK(pool.submit(inc, 1).result(60s) == 2);
}

TEST_CASE(
    "loky::reusable_executor::error_text_at_decode: type and text of the cause arrive"
) {
    ProcessPoolExecutor pool(on(each_pool_start_method(), 1));
    const auto future = pool.submit(take, Misbehaving{.when_read = Deed::throw_error});
    expect_unserialised(future, SerializationPhase::decode_task);
    const auto texts = texts_of(future.exception());
    REQUIRE(texts.size() > 1);
    CHECK_THAT(texts.at(1), test::ContainsSubstring("std::domain_error: misbehaved"));
}

TEST_CASE(
    "loky::reusable_executor::error_is_stdlib_error: a loss is a broken executor, and "
    "wait() counts it"
) {
    ProcessPoolExecutor pool(on(each_pool_start_method(), 1, OnWorkerLoss::isolate));
    const auto future = pool.submit(test::rows::commit_in_task, Deed::crash);
    CHECK(futures::wait({future}, 60s).done.size() == 1);
    CHECK_THROWS_AS(future.result(), futures::BrokenProcessPool);
    CHECK_THROWS_AS(future.result(), futures::BrokenExecutor);
}

TEST_CASE(
    "mpi4py::test_futures::Pickle::cause_local: only what happened in the worker has a "
    "cause there"
) {
    ProcessPoolExecutor pool(on(each_pool_start_method(), 1));
    const auto here = pool.submit(take, Misbehaving{.when_written = Deed::throw_error});
    const auto there = pool.submit(take, Misbehaving{.when_read = Deed::throw_error});
    const std::string worker = "pid " + std::to_string(pool.submit(pid).result(60s));
    for (const std::string& text : texts_of(here.exception(60s))) {
        CHECK_THAT(text, !test::ContainsSubstring("pid "));
    }
    const auto texts = texts_of(there.exception(60s));
    REQUIRE(texts.size() > 1);
    CHECK_THAT(texts.at(1), test::ContainsSubstring(worker));
}

TEST_CASE("dask::test_worker::error_message_limit: an endless text is cut, and marked"
) {
    constexpr std::size_t limit = mp::detail::longest_what;
    ProcessPoolExecutor pool(on(each_pool_start_method(), 1));
    CHECK_THROWS_WITH(
        pool.submit(throw_text_of, limit).result(60s), std::string(limit, 'x')
    );
    const auto texts = texts_of(pool.submit(throw_text_of, 200 * limit).exception(60s));
    CHECK(texts.at(0).size() < limit + 100);
    CHECK_THAT(texts.at(0), test::ContainsSubstring("[cut: "));
}

TEST_CASE("dask::test_worker::chained_error: both types and both texts arrive") {
    ProcessPoolExecutor pool(on(each_pool_start_method(), 1));
    const auto future = pool.submit(throw_chain);
    CHECK_THROWS_AS(future.result(60s), std::range_error);
    CHECK_THROWS_WITH(future.result(), "the outer one");
    const auto place = test::cause_of(future.exception());
    const auto inner = test::cause_of(place);
    REQUIRE(inner);
    CHECK_THROWS_AS(std::rethrow_exception(inner), std::domain_error);
    CHECK_THROWS_WITH(std::rethrow_exception(inner), "the inner one");
}

TEST_CASE("dask::test_client::errors_dont_block: nobody has to read them") {
    ProcessPoolExecutor pool(on(each_pool_start_method(), 1));
    const auto first = pool.submit(inc, 1);
    pool.submit(fail);
    const auto second = pool.submit(inc, 2);
    pool.submit(fail);
    CHECK(first.result(60s) == 2);
    CHECK(second.result(60s) == 3);
}

TEST_CASE(
    "dask::test_client::badly_serialised_exception: it arrives as RemoteError with its "
    "text"
) {
    ProcessPoolExecutor pool(on(each_pool_start_method(), 1));
    const auto future = pool.submit(throw_unwritable);
    CHECK_THROWS_AS(future.result(60s), mp::RemoteError);
    CHECK_THROWS_WITH(future.result(), "nobody can write me");
}

TEST_CASE(
    "dask::test_client::robust_undeserialisable: only its own future fails, be it the "
    "argument or the callable"
) {
    ProcessPoolExecutor pool(on(each_pool_start_method(), 2));
    expect_unserialised(
        pool.submit(take, Misbehaving{.when_read = Deed::throw_error}),
        SerializationPhase::decode_task
    );
    expect_unserialised(
        pool.submit(UnreadableCall{1}, 1), SerializationPhase::decode_task
    );
    std::vector<int> inputs(10);
    std::iota(inputs.begin(), inputs.end(), 0);
    int expected = 0;
    for (const int result : pool.map(inc, inputs)) {
        CHECK(result == ++expected);
    }
    CHECK(expected == 10);
    CHECK(pool.statistics().workers_lost == 0);
}

TEST_CASE(
    "ray::test_failure::custom_error_type: caught as what it is, and as what says "
    "where it was thrown"
) {
    ProcessPoolExecutor pool(on(each_pool_start_method(), 1));
    const auto future = pool.submit(throw_with_text<FrozenError>);
    try {
        future.result(60s);
        FAIL("no exception");
    } catch (const FrozenError& error) {
        CHECK_THROWS_AS(std::rethrow_if_nested(error), mp::RemoteError);
        CHECK_THROWS_WITH(
            std::rethrow_if_nested(error), test::ContainsSubstring("FrozenError")
        );
    }
}

TEST_CASE(
    "ray::test_failure::bad_code_in_worker: code that a worker cannot load is a clear "
    "error each time"
) {
    ProcessPoolExecutor pool(on(each_pool_start_method(), 1));
    REQUIRE(pool.submit(inc, 1).result(60s) == 2);
    // Loaded by this process alone, and then there is nothing more to load.
    const test::TempDir folder;
    const auto library = folder.path() / "rows.so";
    std::filesystem::copy_file(ROW_MODULE, library);
    void* const handle = ::dlopen(library.c_str(), RTLD_NOW);
    REQUIRE(handle != nullptr);
    std::filesystem::remove(library);
    const auto scale = reinterpret_cast<int (*)(int)>(::dlsym(handle, "scale"));
    REQUIRE(scale != nullptr);
    for (int i = 0; i < 10; ++i) {
        const auto future = pool.submit(scale, 2);
        CHECK_THROWS_AS(future.result(60s), mp::BinaryMismatch);
        CHECK_THROWS_WITH(future.result(), test::ContainsSubstring("rows.so"));
    }
    CHECK(pool.submit(inc, 2).result(60s) == 3);
    ::dlclose(handle);
}

TEST_CASE(
    "ray::test_traceback::unserialisable_argument_text: it names the function, and so "
    "the argument's type"
) {
    ProcessPoolExecutor pool(on(each_pool_start_method(), 1));
    const auto future =
        pool.submit(take, Misbehaving{.when_written = Deed::throw_error});
    expect_unserialised(future, SerializationPhase::encode_task);
    CHECK_THROWS_WITH(
        future.result(), test::ContainsSubstring("take(test::rows::Misbehaving const&)")
    );
}
