// SPDX-License-Identifier: BSL-1.0
// open_signal_receiver: signals as a stream.
#include "concurrency/cancel.hpp"
#include "concurrency/signals.hpp"
#include "concurrency/task_group.hpp"
#include "support/backends.hpp"
#include "support/catch.hpp"

#include <signal.h>
#include <unistd.h>

#include <optional>
#include <semaphore>
#include <thread>
#include <utility>
#include <vector>

using concurrency::CancelScope;
using concurrency::checkpoint;
using concurrency::open_signal_receiver;
using concurrency::SignalReceiver;
using concurrency::Task;

namespace {

// Asio's pipe for signals is the process's, and stays with the system executor.
[[maybe_unused]] const bool pipe_is_there = [] {
    concurrency::run(
        []() -> Task<> {
            const SignalReceiver signals = open_signal_receiver(SIGUSR1);
            co_await checkpoint();
        },
        concurrency::Backend::system_executor
    );
    return true;
}();

void send(int signal) {
    ::kill(::getpid(), signal);
}

bool is_default(int signal) {
    struct sigaction action {};
    ::sigaction(signal, nullptr, &action);
    return action.sa_handler == SIG_DFL;
}

}  // namespace

TEST_CASE(
    "signals::receive_signals: signals that a thread sends come one after the other",
    "[signals]"
) {
    test::over_backends([]() -> Task<> {
        SignalReceiver signals = open_signal_receiver(SIGUSR1, SIGUSR2);
        // Two that are sent at once may go to two threads, and be told in any order.
        std::binary_semaphore received(0);
        std::thread sender([&] {
            send(SIGUSR1);
            received.acquire();
            send(SIGUSR2);
        });
        CHECK_AWAITED(signals.receive(), == SIGUSR1);
        received.release();
        CHECK_AWAITED(signals.next(), == SIGUSR2);
        sender.join();
    });
}

TEST_CASE(
    "signals::task_group_cancellation_open: a child that opens a receiver is cancelled "
    "with its group",
    "[signals]"
) {
    test::over_backends([]() -> Task<> {
        bool passed = false;
        co_await concurrency::create_task_group([&](auto& group) -> Task<> {
            group.start_soon([&]() -> Task<> {
                SignalReceiver signals = open_signal_receiver(SIGUSR1);
                while (co_await signals.next()) {
                }
                passed = true;
            });
            group.cancel();
            co_return;
        });
        CHECK_FALSE(passed);
    });
}

TEST_CASE(
    "signals::task_group_cancellation_consume: a child that waits for a signal is "
    "cancelled with its group",
    "[signals]"
) {
    test::over_backends([]() -> Task<> {
        SignalReceiver signals = open_signal_receiver(SIGUSR1);
        bool passed = false;
        co_await concurrency::create_task_group([&](auto& group) -> Task<> {
            group.start_soon([&]() -> Task<> {
                while (co_await signals.next()) {
                }
                passed = true;
            });
            co_await checkpoint();
            co_await checkpoint();
            group.cancel();
        });
        CHECK_FALSE(passed);
        send(SIGUSR1);
        CHECK_AWAITED(signals.receive(), == SIGUSR1);
    });
}

TEST_CASE("signals: one that came before it was asked for is there", "[signals]") {
    test::over_backends([]() -> Task<> {
        SignalReceiver signals = open_signal_receiver(SIGUSR1);
        send(SIGUSR1);
        co_await checkpoint();
        CHECK_AWAITED(signals.receive(), == SIGUSR1);
    });
}

TEST_CASE("signals: each receiver of a signal gets it", "[signals]") {
    test::over_backends([]() -> Task<> {
        SignalReceiver both = open_signal_receiver(SIGUSR1, SIGUSR2);
        SignalReceiver one = open_signal_receiver(SIGUSR1);
        send(SIGUSR1);
        CHECK_AWAITED(one.receive(), == SIGUSR1);
        CHECK_AWAITED(both.receive(), == SIGUSR1);
    });
}

TEST_CASE("signals: one task at a time waits for a receiver", "[signals]") {
    test::over_backends([]() -> Task<> {
        SignalReceiver signals = open_signal_receiver(SIGUSR1);
        co_await concurrency::create_task_group([&](auto& group) -> Task<> {
            group.start_soon([&]() -> Task<> {
                CHECK_AWAITED(signals.receive(), == SIGUSR1);
            });
            co_await checkpoint();
            co_await checkpoint();
            auto second = [&]() -> Task<> {
                co_await signals.receive();
            };
            CHECK_AWAITED(
                test::thrown_by(second), == "another task waits for signals here"
            );
            send(SIGUSR1);
        });
    });
}

TEST_CASE("signals: a closed receiver ends the waits, and gives no more", "[signals]") {
    test::over_backends([]() -> Task<> {
        SignalReceiver signals = open_signal_receiver(SIGUSR1);
        CHECK_FALSE(is_default(SIGUSR1));
        bool ended = false;
        co_await concurrency::create_task_group([&](auto& group) -> Task<> {
            group.start_soon([&]() -> Task<> {
                const std::optional<int> none = co_await signals.next();
                ended = !none;
            });
            co_await checkpoint();
            co_await checkpoint();
            signals.close();
            signals.close();
        });
        CHECK(ended);
        CHECK(is_default(SIGUSR1));
        CHECK_AWAITED(signals.next(), == std::nullopt);
        auto closed = [&]() -> Task<> {
            co_await signals.receive();
        };
        CHECK_AWAITED(
            test::thrown_by(closed), == "the receiver of signals has been closed"
        );
    });
}

TEST_CASE("signals: a receiver is destroyed while a task waits", "[signals]") {
    test::over_backends([]() -> Task<> {
        std::optional<SignalReceiver> signals = open_signal_receiver(SIGUSR1);
        bool ended = false;
        co_await concurrency::create_task_group([&](auto& group) -> Task<> {
            group.start_soon([&]() -> Task<> {
                const std::optional<int> none = co_await signals->next();
                ended = !none;
            });
            co_await checkpoint();
            co_await checkpoint();
            signals.reset();
        });
        CHECK(ended);
    });
}

TEST_CASE("signals: a receiver may be moved", "[signals]") {
    test::over_backends([]() -> Task<> {
        SignalReceiver first = open_signal_receiver(SIGUSR1);
        SignalReceiver second = std::move(first);
        auto moved = [&]() -> Task<> {
            co_await first.receive();
        };
        CHECK_AWAITED(
            test::thrown_by(moved), == "the receiver of signals has been moved away"
        );
        second = open_signal_receiver(SIGUSR2);
        CHECK(is_default(SIGUSR1));
        send(SIGUSR2);
        CHECK_AWAITED(second.receive(), == SIGUSR2);
    });
}

TEST_CASE("signals: what cannot be received is an error", "[signals]") {
    test::over_backends([]() -> Task<> {
        for (const int none : {-1, 0, 1000, SIGKILL}) {
            CHECK_THROWS_AS(
                open_signal_receiver(SIGUSR1, none), concurrency::ValueError
            );
        }
        CHECK(is_default(SIGUSR1));
        co_return;
    });
    CHECK_THROWS_AS(open_signal_receiver(SIGUSR1), concurrency::RuntimeError);
}

TEST_CASE("signals: a receiver is its loop's", "[signals]") {
    test::over_backends([]() -> Task<> {
        SignalReceiver signals = open_signal_receiver(SIGUSR1);
        concurrency::run_async([&]() -> Task<> {
            auto other = [&]() -> Task<> {
                co_await signals.receive();
            };
            CHECK_AWAITED(
                test::thrown_by(other),
                == "this receiver of signals belongs to another loop"
            );
        });
        co_return;
    });
}

TEST_CASE("signals: a receiver may outlive its loop", "[signals]") {
    test::each_backend([](concurrency::Backend backend) {
        std::optional<SignalReceiver> kept;
        concurrency::run(
            [&]() -> Task<> {
                kept = open_signal_receiver(SIGUSR1);
                co_return;
            },
            backend
        );
        CHECK(is_default(SIGUSR1));
        concurrency::run([&]() -> Task<> {
            const auto receive = [&] {
                return kept->receive();
            };
            CHECK_AWAITED(
                test::thrown_by(receive), == "the receiver of signals has been closed"
            );
        });
        kept->close();
    });
}
