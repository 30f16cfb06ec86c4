// SPDX-License-Identifier: BSL-1.0
// What g++ 12 would destroy twice, and the guard that says what to write; see run.sh. A
// line for each call that takes a callable and is awaited; the lines between them show
// what is to be written.
#include "concurrency/asio.hpp"
#include "concurrency/concurrency.hpp"
#include "concurrency/subprocess.hpp"

#include <string>
#include <utility>
#include <vector>

using namespace concurrency;

inline Task<> use(const std::string& text) {
    static_cast<void>(text);
    co_return;
}

struct Items {
    std::vector<std::string> texts;

    auto begin() const { return texts.begin(); }

    auto end() const { return texts.end(); }
};

// clang-format off
inline Task<> refused(std::string text, futures::ThreadPoolExecutor& pool, Condition& condition) {
    CancelScope scope;
    co_await scope.run([text] { return use(text); });  // refused: g++ 12 destroys twice what a lambda inside co_await captures by value
    co_await scope.run([&] { return use(text); });
    co_await move_on_after(1, [text] { return use(text); });  // refused: give it a name first (auto body = [...] { ... }; co_await f(body);)
    const auto named = [text] { return use(text); };
    co_await move_on_after(1, named);
    co_await move_on_at(1, [text] { return use(text); });  // refused: capture by reference, or pass the values as arguments
    co_await fail_after(1, [text] { return use(text); });  // refused: g++ 12 destroys twice
    co_await fail_at(1, [text] { return use(text); });  // refused: g++ 12 destroys twice
    co_await fail_after(1, use(text));
    co_await shield([text] { return use(text); });  // refused: g++ 12 destroys twice
    auto given = [text] { return use(text); };
    co_await shield(own(std::move(given)));
    co_await create_task_group([text](TaskGroup&) { return use(text); });  // refused: g++ 12 destroys twice
    co_await create_task_group([&](TaskGroup& group) -> Task<> {
        group.start_soon([text] { return use(text); });
        co_await group.start([text](TaskStatus<>&) { return use(text); });  // refused: g++ 12 destroys twice
        co_await group.start({.name = "named"}, [text](TaskStatus<>&) { return use(text); });  // refused: g++ 12 destroys twice
    });
    co_await condition.wait_for([text] { return text.empty(); });  // refused: g++ 12 destroys twice
    const std::vector<int> numbers{1, 2};
    co_await bounded_map([text](int) { return use(text); }, numbers, 1);  // refused: g++ 12 destroys twice
    co_await bounded_map(return_exceptions, [text](int) { return use(text); }, numbers, 1);  // refused: g++ 12 destroys twice
    const Items items{{text}};
    co_await bounded_map(use, Items(items), 1);  // refused: g++ 12 destroys twice what an aggregate inside co_await holds
    co_await bounded_map(use, std::vector<std::string>(2, text), 1);
    co_await retry([text] { return use(text); });  // refused: g++ 12 destroys twice
    CompletionStream<void> stream(std::vector<Task<>>{});
    co_await stream.run([text](auto&) { return use(text); });  // refused: g++ 12 destroys twice
    co_await run_sync([text] {});  // refused: g++ 12 destroys twice
    co_await run_sync(ThreadOptions(), [text] {});  // refused: g++ 12 destroys twice
    co_await run_sync([](const std::string&) {}, text);
    co_await run_in(pool, [text] {});  // refused: g++ 12 destroys twice
    co_await run_in(pool, OnCancel::abandon, [text] {});  // refused: g++ 12 destroys twice
    BlockingPortal portal;
    co_await portal.run([text](BlockingPortal&) { return use(text); });  // refused: g++ 12 destroys twice
    co_await asio_op<void()>([text](auto handler) { handler(); });  // refused: g++ 12 destroys twice
    co_await open_process("true", [text](Process&) { return use(text); });  // refused: g++ 12 destroys twice
    co_await open_process("true", ProcessOptions(), [text](Process&) { return use(text); });  // refused: g++ 12 destroys twice
}
// clang-format on
