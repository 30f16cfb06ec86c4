// SPDX-License-Identifier: BSL-1.0
// Scopes and groups from where they do not belong: another thread, another loop, the
// child of a fork.
#include "concurrency/cancel.hpp"
#include "concurrency/run.hpp"
#include "concurrency/task_group.hpp"
#include "support/backends.hpp"
#include "support/catch.hpp"

#include <boost/asio/post.hpp>

#include <sys/wait.h>
#include <unistd.h>

#include <functional>
#include <string>
#include <thread>

namespace asio = boost::asio;
using concurrency::CancelScope;
using concurrency::checkpoint;
using concurrency::create_task_group;
using concurrency::Task;
using concurrency::TaskGroup;
using concurrency::TaskStatus;

namespace {

// What it throws as a RuntimeError.
std::string refusal_of(const std::function<void()>& call) {
    try {
        call();
    } catch (const concurrency::RuntimeError& e) {
        return e.what();
    }
    return "nothing";
}

std::string in_thread(const std::function<void()>& call) {
    std::string refusal;
    std::thread([&] { refusal = refusal_of(call); }).join();
    return refusal;
}

// What is to be refused of a scope and a group.
struct Calls {
    CancelScope& scope;
    TaskGroup& group;

    template <class Refusal>
    std::string all(Refusal refusal) const {
        std::string texts;
        for (const std::function<void()>& call : {
                 std::function<void()>([this] { scope.cancel("from afar"); }),
                 std::function<void()>([this] { scope.set_deadline(1); }),
                 std::function<void()>([this] { scope.set_shield(true); }),
                 std::function<void()>([this] { group.cancel(); }),
                 std::function<void()>([this] { group.start_soon(checkpoint); }),
             }) {
            const std::string text = refusal(call);
            texts = texts.empty() || texts == text ? text : texts + "; " + text;
        }
        return texts;
    }
};

}  // namespace

TEST_CASE("misuse: from a thread outside the loop nothing is cancelled", "[misuse]") {
    test::over_backends([]() -> Task<> {
        CancelScope scope;
        std::string refusal;
        const bool completed = co_await scope.run([&]() -> Task<> {
            co_await create_task_group([&](TaskGroup& group) -> Task<> {
                refusal = Calls{scope, group}.all(in_thread);
                co_await checkpoint();
            });
        });
        CHECK(completed);
        CHECK(refusal == "this belongs to a loop that runs in another thread");
        CHECK_FALSE(scope.cancel_called());
        CHECK_FALSE(scope.shield());
    });
}

TEST_CASE("misuse: nor from another loop", "[misuse]") {
    test::over_backends([]() -> Task<> {
        CancelScope scope;
        std::string refusal;
        const bool completed = co_await scope.run([&]() -> Task<> {
            co_await create_task_group([&](TaskGroup& group) -> Task<> {
                concurrency::run_async([&]() -> Task<> {
                    refusal = Calls{scope, group}.all(refusal_of);
                    co_return;
                });
                co_await checkpoint();
            });
        });
        CHECK(completed);
        CHECK(refusal == "this belongs to another loop");
    });
}

TEST_CASE("misuse: started() is for the task that was started", "[misuse]") {
    test::over_backends([]() -> Task<> {
        std::string refusal;
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            const int value =
                co_await group.start<int>([&](TaskStatus<int>& status) -> Task<> {
                    refusal = in_thread([&] { status.started(1); });
                    status.started(2);
                    co_return;
                });
            CHECK(value == 2);
        });
        CHECK(refusal == "this belongs to a loop that runs in another thread");
    });
}

TEST_CASE(
    "misuse: the child of a fork cancels and starts nothing in its parent's loop",
    "[misuse][no-tsan]"
) {
    // [no-tsan]: the system executor's threads are there when it forks.
    concurrency::run([]() -> Task<> {
        CancelScope scope;
        int status = 0;
        co_await scope.run([&]() -> Task<> {
            co_await create_task_group([&](TaskGroup& group) -> Task<> {
                const pid_t child = ::fork();
                if (child == 0) {
                    const std::string refusal = Calls{scope, group}.all(refusal_of);
                    ::_exit(refusal == "the loop was left behind by a fork" ? 7 : 1);
                }
                ::waitpid(child, &status, 0);
                co_return;
            });
        });
        CHECK(WIFEXITED(status));
        CHECK(WEXITSTATUS(status) == 7);
        CHECK_FALSE(scope.cancel_called());
    });
}

TEST_CASE("misuse: a handler of the loop's executor is no foreigner", "[misuse]") {
    asio::io_context context;
    CancelScope scope;
    int started = 0;
    const auto body = [&]() -> Task<> {
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            asio::post(context, [&scope, &started, group]() mutable {
                group.start_soon([&started]() -> Task<> {
                    ++started;
                    co_return;
                });
                scope.cancel();
            });
            CHECK_AWAITED(scope.run(concurrency::sleep_forever()), == false);
        });
    };
    concurrency::run(body, context);
    CHECK(started == 1);
}

TEST_CASE("misuse: what is over may be used from anywhere", "[misuse]") {
    CancelScope scope;
    std::optional<TaskGroup> kept;
    concurrency::run([&]() -> Task<> {
        co_await scope.run([&]() -> Task<> {
            co_await create_task_group([&](TaskGroup& group) -> Task<> {
                kept = group;
                group.cancel_scope().set_deadline(concurrency::current_time() + 60);
                co_return;
            });
        });
    });
    CHECK(in_thread([&] { scope.cancel(); }) == "nothing");
    CHECK(scope.cancel_called());
    CHECK(in_thread([&] { kept->cancel(); }) == "nothing");
    CHECK(in_thread([&] {
              kept->start_soon(checkpoint);
          }) == "the task group has ended, and starts no more tasks");
}
