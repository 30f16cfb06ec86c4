// SPDX-License-Identifier: BSL-1.0
// The loop at its edges: what it leaves to its executor, what a task leaves behind when
// it ends, what it must not await, a fork in a task of a group.
#include "futures/future.hpp"

#include "concurrency/asio.hpp"
#include "concurrency/cancel.hpp"
#include "concurrency/current_task.hpp"
#include "concurrency/futures.hpp"
#include "concurrency/local.hpp"
#include "concurrency/queue.hpp"
#include "concurrency/run.hpp"
#include "concurrency/task_group.hpp"
#include "support/backends.hpp"
#include "support/catch.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/system_executor.hpp>
#include <boost/asio/thread_pool.hpp>

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <coroutine>
#include <cstdint>
#include <functional>
#include <future>
#include <memory>
#include <optional>
#include <stdexcept>
#include <utility>

namespace asio = boost::asio;
using concurrency::checkpoint;
using concurrency::create_task_group;
using concurrency::RuntimeError;
using concurrency::sleep;
using concurrency::sleep_forever;
using concurrency::Task;
using concurrency::TaskGroup;
using concurrency::TaskLocal;

namespace {

bool is_in_task() {
    try {
        concurrency::current_task();
        return true;
    } catch (const RuntimeError&) {
        return false;
    }
}

}  // namespace

TEST_CASE(
    "loop: while tasks are busy the executor gets its turn as often, however many "
    "timers "
    "and letters have come",
    "[loop_edges]"
) {
    asio::io_context context;
    // How often the busy task runs between two handlers of somebody else.
    std::uint64_t rounds = 0;
    std::uint64_t before = 0;
    std::uint64_t first = 0;
    std::uint64_t last = 0;
    bool stop = false;
    int left = 300;
    std::function<void()> look = [&] {
        last = rounds - std::exchange(before, rounds);
        if (left == 250) {
            first = last;
        }
        if (--left == 0) {
            stop = true;
        } else {
            asio::post(context, look);
        }
    };
    concurrency::run(
        [&]() -> Task<> {
            co_await create_task_group([&](TaskGroup& group) -> Task<> {
                group.start_soon([&]() -> Task<> {
                    while (!stop) {
                        ++rounds;
                        co_await checkpoint();
                    }
                });
                group.start_soon([&]() -> Task<> {
                    while (!stop) {
                        co_await sleep(0.00001);  // a timer each time
                        // And a letter, as from another thread.
                        co_await asio::post(context, concurrency::use_task);
                    }
                });
                asio::post(context, look);
                co_return;
            });
        },
        context
    );
    CHECK(first != 0);
    CHECK(last <= 4 * first);
}

TEST_CASE(
    "loop: no task runs here while a group hears that one has ended", "[loop_edges]"
) {
    test::over_backends([]() -> Task<> {
        futures::Future<void> future;
        TaskLocal<int> local("local");
        std::optional<bool> in_task;
        concurrency::Queue<int> queue(1);
        future.add_done_callback([&](const futures::Future<void>&) {
            in_task = is_in_task();
            queue.put_nowait(1);
        });
        auto body = [&]() -> Task<> {
            co_await create_task_group([&](TaskGroup& group) -> Task<> {
                group.start_soon([&]() -> Task<> { co_await future; });
                group.start_soon([&]() -> Task<> { co_await queue.get(); });
                group.start_soon([&]() -> Task<> {
                    local.set(7);
                    co_await checkpoint();
                    throw std::runtime_error("failed");
                });
                co_return;
            });
        };
        CHECK_AWAITED(test::thrown_by(body), == "[failed]");
        CHECK(in_task == false);
    });
}

namespace {

struct Noting {
    explicit Noting(std::function<void()> call) : at_end(std::move(call)) {}

    Noting(const Noting&) = delete;
    Noting& operator=(const Noting&) = delete;

    ~Noting() { at_end(); }

    std::function<void()> at_end;
};

}  // namespace

TEST_CASE(
    "local: a value that dies with its task finds no task, and no value", "[loop_edges]"
) {
    test::over_backends([]() -> Task<> {
        TaskLocal<std::shared_ptr<Noting>> local("local");
        int ended = 0;
        auto at_end = [&] {
            ended += is_in_task() ? 0 : 1;
        };
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            for (int i = 0; i < 3; ++i) {
                group.start_soon([&]() -> Task<> {
                    local.set(std::make_shared<Noting>(at_end));
                    co_await checkpoint();
                });
            }
            co_return;
        });
        CHECK(ended == 3);
    });
}

TEST_CASE("loop: awaiting what is of no use to it is an error", "[loop_edges]") {
    asio::io_context context;
    bool destroyed = false;
    const auto body = [&]() -> Task<> {
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            group.start_soon([&]() -> Task<> {
                const Noting here([&] { destroyed = true; });
                co_await std::suspend_always();
            });
            co_await sleep_forever();
        });
    };
    test::each_backend([&](concurrency::Backend backend) {
        destroyed = false;
        CHECK_THROWS_WITH(
            concurrency::run(body, backend),
            test::ContainsSubstring("not of this library")
        );
        CHECK(destroyed);
    });
}

TEST_CASE(
    "loop: after a fork in a task of a group, the child runs none of the others",
    "[loop_edges][no-tsan]"
) {
    int pipe_ends[2];
    REQUIRE(::pipe(pipe_ends) == 0);
    int status = -1;
    const auto parent = ::getpid();
    pid_t child = 0;
    const auto body = [&](bool catches) -> Task<> {
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            group.start_soon([&, catches]() -> Task<> {
                child = ::fork();
                if (child != 0) {
                    co_return;
                }
                try {
                    co_await sleep(1);
                } catch (const RuntimeError&) {
                    if (!catches) {
                        throw;
                    }
                }
            });
            group.start_soon([&]() -> Task<> {
                static_cast<void>(::write(pipe_ends[1], "x", 1));
                co_return;
            });
            co_return;
        });
    };
    for (const bool catches : {true, false}) {
        bool threw = false;
        try {
            concurrency::run([&] { return body(catches); });
        } catch (const RuntimeError&) {
            threw = true;
        }
        if (::getpid() != parent) {
            ::_exit(threw ? 3 : 4);
        }
        REQUIRE(::waitpid(child, &status, 0) == child);
        CHECK(WIFEXITED(status));
        CHECK(WEXITSTATUS(status) == 3);
        char text[4];
        CHECK(::read(pipe_ends[0], text, sizeof text) == 1);
    }
    ::close(pipe_ends[0]);
    ::close(pipe_ends[1]);
}

TEST_CASE("run: an executor that is seen not to be serial is refused", "[loop_edges]") {
    asio::thread_pool two(2);
    asio::thread_pool one(1);
    const auto run_by = [](asio::any_io_executor executor) {
        concurrency::run(checkpoint, executor);
    };
    CHECK_THROWS_AS(run_by(two.get_executor()), concurrency::ValueError);
    CHECK_THROWS_AS(run_by(asio::system_executor()), concurrency::ValueError);
    CHECK_NOTHROW(run_by(one.get_executor()));
    CHECK_NOTHROW(run_by(asio::make_strand(two.get_executor())));
}

TEST_CASE(
    "run: the end of an executor is heard of, whatever its type", "[loop_edges]"
) {
    auto context = std::make_unique<asio::io_context>();
    const auto executor =
        asio::require(context->get_executor(), asio::execution::blocking.never);
    std::promise<void> begun;
    auto result = std::async(std::launch::async, [&] {
        concurrency::run(
            [&]() -> Task<> {
                begun.set_value();
                co_await sleep_forever();
            },
            asio::any_io_executor(executor)
        );
    });
    auto begins = begun.get_future();
    while (begins.wait_for(std::chrono::seconds(0)) != std::future_status::ready) {
        context->restart();
        context->run_one_for(std::chrono::milliseconds(10));
    }
    context.reset();
    CHECK_THROWS_AS(result.get(), RuntimeError);
}

namespace {

struct alignas(64) Wide {
    std::uintptr_t misplaced() const {
        return reinterpret_cast<std::uintptr_t>(this) % alignof(Wide);
    }
};

}  // namespace

TEST_CASE("group: what is moved into a task keeps its alignment", "[loop_edges]") {
    test::over_backends([]() -> Task<> {
        std::uintptr_t misplaced = 0;
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            for (int i = 0; i < 20; ++i) {
                group.start_soon([&misplaced, wide = Wide()]() -> Task<> {
                    misplaced += wide.misplaced();
                    co_return;
                });
            }
            co_return;
        });
        CHECK(misplaced == 0);
    });
}

TEST_CASE("group: a moved handle is another handle of the group", "[loop_edges]") {
    test::over_backends([]() -> Task<> {
        bool ran = false;
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            const TaskGroup moved(std::move(group));
            moved.cancel_scope();
            group.start_soon([&]() -> Task<> {
                ran = true;
                co_return;
            });
            co_return;
        });
        CHECK(ran);
    });
}

TEST_CASE(
    "run: a loop takes no place of a standard stream that is closed",
    "[loop_edges][no-tsan]"
) {
    for (const concurrency::Backend backend :
         {concurrency::Backend::io_context, concurrency::Backend::thread_pool}) {
        const pid_t child = ::fork();
        if (child == 0) {
            for (const int stream : {0, 1, 2}) {
                ::close(stream);
            }
            int open = 0;
            concurrency::run(
                [&]() -> Task<> {
                    co_await sleep(0.001);
                    for (const int stream : {0, 1, 2}) {
                        open += ::fcntl(stream, F_GETFD) >= 0 ? 1 : 0;
                    }
                },
                backend
            );
            ::_exit(open);
        }
        int status = -1;
        REQUIRE(::waitpid(child, &status, 0) == child);
        CHECK(WIFEXITED(status));
        CHECK(WEXITSTATUS(status) == 0);
    }
}
