// SPDX-License-Identifier: BSL-1.0
// ByteReceiveStream and ByteSendStream, as a child's pipes.
#include "children.hpp"
#include "concurrency/byte_streams.hpp"
#include "concurrency/cancel.hpp"
#include "concurrency/task_group.hpp"
#include "support/backends.hpp"
#include "support/catch.hpp"

#include <optional>
#include <string>
#include <vector>

using concurrency::checkpoint;
using concurrency::open_process;
using concurrency::Process;
using concurrency::Task;

TEST_CASE(
    "subprocesses::process_receive_invalid_max_bytes: at least one byte is read",
    "[subprocess]"
) {
    test::over_backends([]() -> Task<> {
        co_await open_process("true", [](Process& process) -> Task<> {
            for (const int none : {0, -1}) {
                bool refused = false;
                try {
                    co_await process.stdout().receive(none);
                } catch (const concurrency::ValueError&) {
                    refused = true;
                }
                CHECK(refused);
            }
        });
    });
}

TEST_CASE("byte streams: what is sent comes back", "[subprocess]") {
    test::over_backends([]() -> Task<> {
        const std::vector<std::string> cat{"cat"};
        co_await open_process(cat, [](Process& process) -> Task<> {
            co_await process.stdin().send("ab");
            CHECK_AWAITED(process.stdout().receive(1), == "a");
            CHECK_AWAITED(process.stdout().receive(), == "b");
            co_await process.stdin().send("");
            process.stdin().close();
            co_await process.stdin().aclose();
            CHECK_AWAITED(test::rest_of(process.stdout()), .empty());
        });
    });
}

TEST_CASE(
    "subprocesses::close_while_reading: a reader learns that its stream was closed",
    "[subprocess]"
) {
    test::over_backends([]() -> Task<> {
        const std::vector<std::string> cat{"cat"};
        co_await open_process(cat, [](Process& process) -> Task<> {
            bool closed = false;
            co_await concurrency::create_task_group([&](auto& group) -> Task<> {
                group.start_soon([&]() -> Task<> {
                    try {
                        co_await process.stdout().receive();
                    } catch (const concurrency::ClosedResourceError&) {
                        closed = true;
                    }
                });
                co_await checkpoint();
                co_await checkpoint();
                process.stdout().close();
            });
            CHECK(closed);
        });
    });
}

TEST_CASE("byte streams: a writer learns that its stream was closed", "[subprocess]") {
    test::over_backends([]() -> Task<> {
        co_await open_process("exec sleep 10000", [](Process& process) -> Task<> {
            bool closed = false;
            co_await concurrency::create_task_group([&](auto& group) -> Task<> {
                group.start_soon([&]() -> Task<> {
                    try {
                        co_await process.stdin().send(std::string(1 << 20, 'x'));
                    } catch (const concurrency::ClosedResourceError&) {
                        closed = true;
                    }
                });
                co_await checkpoint();
                co_await checkpoint();
                process.stdin().close();
            });
            CHECK(closed);
            process.kill();
        });
    });
}

TEST_CASE("byte streams: one task at a time uses an end", "[subprocess]") {
    test::over_backends([]() -> Task<> {
        const std::vector<std::string> cat{"cat"};
        co_await open_process(cat, [](Process& process) -> Task<> {
            co_await concurrency::create_task_group([&](auto& group) -> Task<> {
                group.start_soon([&]() -> Task<> {
                    CHECK_AWAITED(process.stdout().receive(), == "x");
                });
                co_await checkpoint();
                co_await checkpoint();
                auto second = [&]() -> Task<> {
                    co_await process.stdout().receive();
                };
                CHECK_AWAITED(
                    test::thrown_by(second),
                    == "another task uses this end of the stream"
                );
                co_await process.stdin().send("x");
            });
        });
    });
}

TEST_CASE(
    "byte streams: a reader that is cancelled has taken nothing", "[subprocess]"
) {
    test::over_backends([]() -> Task<> {
        const std::vector<std::string> cat{"cat"};
        co_await open_process(cat, [](Process& process) -> Task<> {
            concurrency::CancelScope scope;
            co_await concurrency::create_task_group([&](auto& group) -> Task<> {
                group.start_soon([&]() -> Task<> {
                    const bool completed = co_await scope.run([&]() -> Task<> {
                        co_await process.stdout().receive();
                    });
                    CHECK_FALSE(completed);
                });
                co_await checkpoint();
                co_await checkpoint();
                scope.cancel();
            });
            co_await process.stdin().send("x");
            CHECK_AWAITED(process.stdout().receive(), == "x");
        });
    });
}

TEST_CASE(
    "byte streams: an end belongs to its loop, and ends with it", "[subprocess]"
) {
    test::over_backends([]() -> Task<> {
        std::optional<Process> left;
        concurrency::run_async([&]() -> Task<> {
            left = co_await open_process("exec sleep 10000");
            auto other = [&]() -> Task<> {
                co_await left->stdout().receive();
            };
            concurrency::run_async([&]() -> Task<> {
                CHECK_AWAITED(
                    test::thrown_by(other), == "this stream belongs to another loop"
                );
                auto wait = [&]() -> Task<> {
                    co_await left->wait();
                };
                CHECK_AWAITED(
                    test::thrown_by(wait), == "this process belongs to another loop"
                );
            });
        });
        CHECK(left->returncode() == -9);
        auto late = [&]() -> Task<> {
            co_await left->stdout().receive();
        };
        bool closed = false;
        try {
            co_await late();
        } catch (const concurrency::ClosedResourceError&) {
            closed = true;
        } catch (const concurrency::RuntimeError&) {
            closed = true;  // or of another loop, which is as true
        }
        CHECK(closed);
    });
}
