// SPDX-License-Identifier: BSL-1.0
// Future, by the rows of the conformance table.
#include "futures/future.hpp"

#include "support/catch.hpp"
#include "support/log_capture.hpp"
#include "support/preset_futures.hpp"

#include <atomic>
#include <chrono>
#include <exception>
#include <optional>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

using namespace std::chrono_literals;
using futures::CancelledError;
using futures::Future;
using futures::InvalidStateError;
using futures::TimeoutError;

namespace {

std::string message_of(const std::exception_ptr& exception) {
    try {
        std::rethrow_exception(exception);
    } catch (const std::exception& error) {
        return error.what();
    }
}

}  // namespace

TEST_CASE("FutureTests.test_done_callback_with_result: it reads the result") {
    std::optional<int> seen;
    const Future<int> f;
    f.add_done_callback([&](const Future<int>& done) { seen = done.result(0s); });
    f.set_result(5);
    CHECK(seen == 5);
}

TEST_CASE("FutureTests.test_done_callback_with_exception: it reads the same exception"
) {
    std::exception_ptr seen;
    const Future<int> f;
    f.add_done_callback([&](const Future<int>& done) { seen = done.exception(0s); });
    const auto error = std::make_exception_ptr(std::runtime_error("test"));
    f.set_exception(error);
    CHECK(seen == error);
}

TEST_CASE("FutureTests.test_done_callback_with_cancel: it sees a cancelled future") {
    std::optional<bool> seen;
    const Future<int> f;
    f.add_done_callback([&](const Future<int>& done) { seen = done.cancelled(); });
    CHECK(f.cancel());
    CHECK(seen == true);
}

TEST_CASE("FutureTests.test_done_callback_raises: logged, the next one still runs") {
    const test::LogCapture log;
    int called = 0;
    const Future<int> f;
    f.add_done_callback([&](const Future<int>&) {
        ++called;
        throw std::runtime_error("doh!");
    });
    f.add_done_callback([&](const Future<int>&) { ++called; });
    f.set_result(5);
    CHECK(called == 2);
    CHECK(log.text().find("doh!") != std::string::npos);
}

TEST_CASE("FutureTests.test_done_callback_already_successful: it runs at once") {
    std::optional<int> seen;
    const Future<int> f;
    f.set_result(5);
    f.add_done_callback([&](const Future<int>& done) { seen = done.result(0s); });
    CHECK(seen == 5);
}

TEST_CASE("FutureTests.test_done_callback_already_failed: it runs at once") {
    std::exception_ptr seen;
    const Future<int> f;
    f.set_exception(std::runtime_error("test"));
    f.add_done_callback([&](const Future<int>& done) { seen = done.exception(0s); });
    CHECK(message_of(seen) == "test");
}

TEST_CASE("FutureTests.test_done_callback_already_cancelled: it runs at once") {
    std::optional<bool> seen;
    const Future<int> f;
    CHECK(f.cancel());
    f.add_done_callback([&](const Future<int>& done) { seen = done.cancelled(); });
    CHECK(seen == true);
}

TEST_CASE("FutureTests.test_done_callback_raises_already_succeeded: logged, not thrown"
) {
    const test::LogCapture log;
    const Future<int> f;
    f.set_result(5);
    f.add_done_callback([](const Future<int>&) { throw std::runtime_error("doh!"); });
    CHECK(log.text().find("exception calling callback for") != std::string::npos);
    CHECK(log.text().find("doh!") != std::string::npos);
}

TEST_CASE("FutureTests.test_repr: to_string() shows the state") {
    const test::PresetFutures preset;
    const auto shows = [](const Future<int>& f, const std::string& state) {
        const auto text = f.to_string();
        return text.starts_with("<Future at 0x") &&
               text.ends_with(" state=" + state + ">");
    };
    CHECK(shows(preset.pending, "pending"));
    CHECK(shows(preset.running, "running"));
    CHECK(shows(preset.cancelled, "cancelled"));
    CHECK(shows(preset.cancelled_and_notified, "cancelled"));
    CHECK(shows(preset.failed, "finished raised std::system_error"));
    CHECK(shows(preset.successful, "finished returned int"));
}

TEST_CASE("FutureTests.test_cancel: only a pending future can be cancelled") {
    const test::PresetFutures preset;
    CHECK(preset.pending.cancel());
    CHECK(preset.pending.base().state() == futures::FutureState::cancelled);
    CHECK_FALSE(preset.running.cancel());
    CHECK(preset.running.base().state() == futures::FutureState::running);
    CHECK(preset.cancelled.cancel());
    CHECK(preset.cancelled.base().state() == futures::FutureState::cancelled);
    CHECK(preset.cancelled_and_notified.cancel());
    CHECK(
        preset.cancelled_and_notified.base().state() ==
        futures::FutureState::cancelled_and_notified
    );
    CHECK_FALSE(preset.failed.cancel());
    CHECK(preset.failed.base().state() == futures::FutureState::finished);
    CHECK_FALSE(preset.successful.cancel());
    CHECK(preset.successful.base().state() == futures::FutureState::finished);
}

TEST_CASE("FutureTests.test_cancelled: true in the two cancelled states") {
    const test::PresetFutures preset;
    CHECK_FALSE(preset.pending.cancelled());
    CHECK_FALSE(preset.running.cancelled());
    CHECK(preset.cancelled.cancelled());
    CHECK(preset.cancelled_and_notified.cancelled());
    CHECK_FALSE(preset.failed.cancelled());
    CHECK_FALSE(preset.successful.cancelled());
}

TEST_CASE("FutureTests.test_done: true unless pending or running") {
    const test::PresetFutures preset;
    CHECK_FALSE(preset.pending.done());
    CHECK_FALSE(preset.running.done());
    CHECK(preset.cancelled.done());
    CHECK(preset.cancelled_and_notified.done());
    CHECK(preset.failed.done());
    CHECK(preset.successful.done());
}

TEST_CASE("FutureTests.test_running: true while running") {
    const test::PresetFutures preset;
    CHECK_FALSE(preset.pending.running());
    CHECK(preset.running.running());
    CHECK_FALSE(preset.cancelled.running());
    CHECK_FALSE(preset.cancelled_and_notified.running());
    CHECK_FALSE(preset.failed.running());
    CHECK_FALSE(preset.successful.running());
}

TEST_CASE("FutureTests.test_result_with_timeout: 0 does not wait") {
    const test::PresetFutures preset;
    CHECK_THROWS_AS(preset.pending.result(0s), TimeoutError);
    CHECK_THROWS_AS(preset.running.result(0s), TimeoutError);
    CHECK_THROWS_AS(preset.cancelled.result(0s), CancelledError);
    CHECK_THROWS_AS(preset.cancelled_and_notified.result(0s), CancelledError);
    CHECK_THROWS_AS(preset.failed.result(0s), std::system_error);
    CHECK(preset.successful.result(0s) == 42);
}

TEST_CASE("FutureTests.test_result_with_success: waits for the other thread") {
    const Future<int> f;
    std::thread setter([&] { f.set_result(42); });
    CHECK(f.result(5s) == 42);
    setter.join();
}

TEST_CASE("FutureTests.test_result_with_cancel: a waiting thread gets CancelledError") {
    const Future<int> f;
    std::thread canceller([&] { f.cancel(); });
    CHECK_THROWS_AS(f.result(5s), CancelledError);
    canceller.join();
}

TEST_CASE("FutureTests.test_exception_with_timeout: 0 does not wait") {
    const test::PresetFutures preset;
    CHECK_THROWS_AS(preset.pending.exception(0s), TimeoutError);
    CHECK_THROWS_AS(preset.running.exception(0s), TimeoutError);
    CHECK_THROWS_AS(preset.cancelled.exception(0s), CancelledError);
    CHECK_THROWS_AS(preset.cancelled_and_notified.exception(0s), CancelledError);
    CHECK(message_of(preset.failed.exception(0s)).find("preset") == 0);
    CHECK(preset.successful.exception(0s) == nullptr);
}

TEST_CASE("FutureTests.test_exception_with_success: waits for the other thread") {
    const Future<int> f;
    std::thread setter([&] { f.set_exception(std::runtime_error("set")); });
    CHECK(message_of(f.exception(5s)) == "set");
    setter.join();
}

TEST_CASE("FutureTests.test_multiple_set_result: the second one is refused") {
    const Future<int> f;
    f.set_result(1);
    CHECK_THROWS_AS(f.set_result(2), InvalidStateError);
    CHECK_THROWS_WITH(
        f.set_result(2),
        test::ContainsSubstring("<Future at 0x") &&
            test::ContainsSubstring("state=finished")
    );
    CHECK(f.result() == 1);
}

TEST_CASE("FutureTests.test_multiple_set_exception: the second one is refused") {
    const Future<int> f;
    f.set_exception(std::runtime_error("first"));
    CHECK_THROWS_AS(f.set_exception(std::runtime_error("second")), InvalidStateError);
    CHECK(message_of(f.exception()) == "first");
    const Future<int> cancelled;
    cancelled.cancel();
    CHECK_THROWS_AS(cancelled.set_result(1), InvalidStateError);
    CHECK_THROWS_AS(
        cancelled.set_exception(std::runtime_error("x")), InvalidStateError
    );
}

TEST_CASE("FutureTests.test_get_snapshot: all fields of one moment") {
    const test::PresetFutures preset;
    const auto pending = preset.pending.get_snapshot();
    CHECK_FALSE(pending.done);
    CHECK_FALSE(pending.cancelled);
    CHECK(pending.result == nullptr);
    CHECK(pending.exception == nullptr);
    CHECK_FALSE(preset.running.get_snapshot().done);
    const auto successful = preset.successful.get_snapshot();
    CHECK(successful.done);
    REQUIRE(successful.result != nullptr);
    CHECK(*successful.result == 42);
    const auto failed = preset.failed.get_snapshot();
    CHECK(failed.done);
    CHECK(failed.result == nullptr);
    CHECK(failed.exception != nullptr);
    CHECK(preset.cancelled.get_snapshot().cancelled);
    CHECK(preset.cancelled_and_notified.get_snapshot().done);

    const Future<int> f;
    std::atomic<int> wrong{0};
    std::vector<std::thread> readers;
    for (int i = 0; i < 4; ++i) {
        readers.emplace_back([&] {
            for (int k = 0; k < 1000; ++k) {
                const auto now = f.get_snapshot();
                wrong += now.cancelled || now.exception != nullptr ||
                         now.done != (now.result != nullptr);
            }
        });
    }
    f.set_result(1);
    for (auto& reader : readers) {
        reader.join();
    }
    CHECK(wrong == 0);
}

TEST_CASE("set_running_or_notify_cancel(): twice is logged and thrown", "[future]") {
    const test::LogCapture log;
    const test::PresetFutures preset;
    CHECK_THROWS_AS(preset.running.set_running_or_notify_cancel(), InvalidStateError);
    CHECK_THROWS_AS(
        preset.cancelled_and_notified.set_running_or_notify_cancel(), InvalidStateError
    );
    CHECK(log.text().find("state=running") != std::string::npos);
    CHECK_FALSE(preset.cancelled.set_running_or_notify_cancel());
}
