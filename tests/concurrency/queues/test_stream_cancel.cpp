// SPDX-License-Identifier: BSL-1.0
// Memory object streams: tasks that are cancelled in them lose nothing.
#include "concurrency/cancel.hpp"
#include "concurrency/run.hpp"
#include "concurrency/streams.hpp"
#include "concurrency/task_group.hpp"
#include "support/backends.hpp"
#include "support/catch.hpp"
#include "support/stream_ends.hpp"

#include <boost/asio/io_context.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

using concurrency::Cancelled;
using concurrency::CancelScope;
using concurrency::checkpoint;
using concurrency::create_task_group;
using concurrency::RuntimeError;
using concurrency::Task;
using concurrency::TaskGroup;
using concurrency::WouldBlock;
using test::Ends;

TEST_CASE(
    "memory::cancel_receive: one who was cancelled does not wait any more", "[streams]"
) {
    test::over_backends([]() -> Task<> {
        Ends<std::string> ends(0);
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            group.start_soon([&]() -> Task<> { co_await ends.receive.receive(); });
            co_await checkpoint();
            group.cancel();
        });
        CHECK_THROWS_AS(ends.send.send_nowait("hello"), WouldBlock);
    });
}

TEST_CASE("memory::cancel_send: one who was cancelled has its item back", "[streams]") {
    test::over_backends([]() -> Task<> {
        Ends<std::string> ends(0);
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            group.start_soon([&]() -> Task<> { co_await ends.send.send("hello"); });
            co_await checkpoint();
            group.cancel();
        });
        CHECK_THROWS_AS(ends.receive.receive_nowait(), WouldBlock);
    });
}

TEST_CASE(
    "memory::receive_when_cancelled: in a cancelled scope nothing is taken", "[streams]"
) {
    test::over_backends([]() -> Task<> {
        Ends<std::string> ends(0);
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            for (const char* text : {"hello", "world"}) {
                group.start_soon(
                    [&](std::string item) -> Task<> {
                        co_await ends.send.send(std::move(item));
                    },
                    text
                );
            }
            co_await checkpoint();
            CancelScope scope;
            scope.cancel();
            auto receiving = [&]() -> Task<> {
                auto one = [&] {
                    return ends.receive.receive();
                };
                CHECK_AWAITED(test::throws<Cancelled>(one), == true);
                co_await ends.receive.next();
            };
            co_await scope.run(receiving);
            CHECK(scope.cancelled_caught());
            CHECK_AWAITED(ends.receive.receive(), == "hello");
            CHECK_AWAITED(ends.receive.receive(), == "world");
        });
    });
}

TEST_CASE(
    "memory::send_when_cancelled: in a cancelled scope nothing is sent", "[streams]"
) {
    test::over_backends([]() -> Task<> {
        Ends<std::string> ends(0);
        std::string got;
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            group.start_soon([&]() -> Task<> {
                got = co_await ends.receive.receive();
            });
            co_await checkpoint();
            CancelScope scope;
            scope.cancel();
            co_await scope.run([&] { return ends.send.send("hello"); });
            CHECK(scope.cancelled_caught());
            co_await ends.send.send("world");
        });
        CHECK(got == "world");
    });
}

TEST_CASE(
    "memory::cancel_during_receive: one who got an item and was cancelled then has it",
    "[streams]"
) {
    test::over_backends([]() -> Task<> {
        Ends<std::string> ends(0);
        std::string got;
        bool cancelled = false;
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            group.start_soon([&]() -> Task<> {
                got = co_await ends.receive.receive();
                auto next = [] {
                    return checkpoint();
                };
                cancelled = co_await test::throws<Cancelled>(next);
            });
            co_await checkpoint();
            ends.send.send_nowait("hello");
            group.cancel();
        });
        CHECK(got == "hello");
        CHECK(cancelled);
    });
}

TEST_CASE(
    "streams: one whose item was taken and who was cancelled then has sent it",
    "[streams]"
) {
    test::over_backends([]() -> Task<> {
        for (const int size : {0, 1}) {
            Ends<int> ends(size);
            if (size == 1) {
                ends.send.send_nowait(1);
            }
            bool sent = false;
            co_await create_task_group([&](TaskGroup& group) -> Task<> {
                group.start_soon([&]() -> Task<> {
                    co_await ends.send.send(2);
                    sent = true;
                });
                co_await checkpoint();
                CHECK(ends.receive.receive_nowait() == (size == 1 ? 1 : 2));
                group.cancel();
            });
            CHECK(sent);
            const auto now = ends.receive.statistics();
            CHECK(now.current_buffer_used == static_cast<std::size_t>(size));
            CHECK(now.tasks_waiting_send == 0);
        }
    });
}

TEST_CASE(
    "memory::cancel_during_receive_buffered "
    "memory::send_to_natively_cancelled_receiver:"
    " what is sent after a receiver was cancelled is not the receiver's",
    "[streams]"
) {
    test::over_backends([]() -> Task<> {
        Ends<std::string> ends(1);
        bool cancelled = false;
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            group.start_soon([&]() -> Task<> {
                auto receiving = [&] {
                    return ends.receive.receive();
                };
                cancelled = co_await test::throws<Cancelled>(receiving);
            });
            co_await checkpoint();
            group.cancel();
            ends.send.send_nowait("hello");
        });
        CHECK(cancelled);
        CHECK(ends.receive.receive_nowait() == "hello");
    });
}

TEST_CASE(
    "trio.channel::553: a limit that ends a receive leaves no trace", "[streams]"
) {
    test::over_backends([]() -> Task<> {
        Ends<std::string> ends(1);
        CancelScope scope;
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            group.start_soon([&]() -> Task<> {
                co_await checkpoint();
                scope.cancel();
            });
            const auto nothing =
                co_await scope.run([&] { return ends.receive.receive(); });
            CHECK_FALSE(nothing.has_value());
        });
        co_await ends.send.send("Test for PR #553");
        CHECK(ends.receive.receive_nowait() == "Test for PR #553");
    });
}

TEST_CASE("streams: whoever waits behind one who was cancelled moves up", "[streams]") {
    test::over_backends([]() -> Task<> {
        Ends<int> ends(0);
        CancelScope first;
        int got = 0;
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            group.start_soon([&]() -> Task<> {
                co_await first.run([&] { return ends.receive.receive(); });
            });
            group.start_soon([&]() -> Task<> {
                got = co_await ends.receive.receive();
            });
            co_await checkpoint();
            first.cancel();
            ends.send.send_nowait(7);
        });
        CHECK(got == 7);
        CancelScope sender;
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            group.start_soon([&]() -> Task<> {
                co_await sender.run([&] { return ends.send.send(8); });
            });
            group.start_soon([&]() -> Task<> { co_await ends.send.send(9); });
            co_await checkpoint();
            sender.cancel();
            CHECK(ends.receive.receive_nowait() == 9);
        });
        CHECK(sender.cancelled_caught());
    });
}

TEST_CASE(
    "streams: a loop that ends takes those who wait with it, and their items",
    "[streams]"
) {
    boost::asio::io_context context;
    const auto item = std::make_shared<int>(1);
    std::optional<Ends<std::shared_ptr<int>>> outside;
    const auto main = [&]() -> Task<> {
        outside.emplace(1);
        Ends<std::shared_ptr<int>> inside(0);
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            for (int i = 0; i < 3; ++i) {
                group.start_soon([&]() -> Task<> {
                    co_await outside->send.send(item);
                });
                group.start_soon([&]() -> Task<> {
                    co_await inside.receive.receive();
                });
                // An end of its own, whose task is destroyed before the others.
                group.start_soon(
                    [&](auto end) -> Task<> { co_await end.send(item); },
                    outside->send.clone()
                );
            }
            co_await checkpoint();
            inside.send.send_nowait(item);  // has not been received when all ends
            context.stop();
            co_await concurrency::sleep_forever();
        });
    };
    CHECK_THROWS_AS(concurrency::run(main, context), RuntimeError);
    CHECK(item.use_count() == 2);  // one in the buffer
    CHECK(outside->send.statistics().tasks_waiting_send == 0);
    CHECK(outside->send.statistics().open_send_streams == 1);
    CHECK(outside->receive.receive_nowait() == item);
    CHECK(item.use_count() == 1);
}

namespace {

/// Tasks that send and receive, in scopes that are cancelled at random.
class Storm {
public:
    Storm(unsigned seed, int size) : random_(seed), ends_(size) {}

    Task<> run() {
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            group.start_soon([&] { return cancel_some(); });
            co_await create_task_group([&](TaskGroup& workers) -> Task<> {
                for (std::size_t i = 0; i < scopes_.size(); ++i) {
                    workers.start_soon(
                        [&](std::size_t place) { return work(place); }, i
                    );
                }
                co_return;
            });
            ended_ = true;
        });
    }

    /// What was sent has been received once, or is still there.
    void check() {
        while (ends_.receive.statistics().current_buffer_used > 0) {
            received_.push_back(ends_.receive.receive_nowait());
        }
        CHECK(ends_.send.statistics().tasks_waiting_send == 0);
        CHECK(ends_.send.statistics().tasks_waiting_receive == 0);
        std::sort(sent_.begin(), sent_.end());
        std::sort(received_.begin(), received_.end());
        CHECK_FALSE(sent_.empty());
        CHECK(received_ == sent_);
    }

private:
    Task<> work(std::size_t place) {
        for (int i = 0; i < 60; ++i) {
            CancelScope scope;
            scopes_[place] = &scope;
            auto step = [&]() -> Task<> {
                if (place % 2 == 0) {
                    const int item = next_item_++;
                    co_await ends_.send.send(item);
                    sent_.push_back(item);
                } else {
                    received_.push_back(co_await ends_.receive.receive());
                }
            };
            co_await scope.run(step);
            scopes_[place] = nullptr;
        }
    }

    Task<> cancel_some() {
        while (!ended_) {
            CancelScope* scope = scopes_[random_() % scopes_.size()];
            if (scope != nullptr) {
                scope->cancel();
            }
            for (unsigned i = random_() % 4; i > 0; --i) {
                co_await checkpoint();
            }
        }
    }

    std::mt19937 random_;
    Ends<int> ends_;
    std::array<CancelScope*, 10> scopes_{};
    bool ended_ = false;
    int next_item_ = 0;
    std::vector<int> sent_;
    std::vector<int> received_;
};

}  // namespace

TEST_CASE(
    "streams: what was sent is received once, and nothing else, whoever is cancelled",
    "[streams]"
) {
    for (unsigned seed = 0; seed < 20; ++seed) {
        for (const int size : {0, 1, 5}) {
            test::over_backends([&]() -> Task<> {
                Storm storm(seed, size);
                co_await storm.run();
                storm.check();
            });
        }
    }
}
