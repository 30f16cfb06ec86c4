// SPDX-License-Identifier: BSL-1.0
// A stranger's program that uses libmp::concurrency, and of Boost.Asio nothing itself.
#include <concurrency/backend.hpp>
#include <concurrency/checkpoint.hpp>
#include <concurrency/task_group.hpp>

namespace {

concurrency::Task<int> count() {
    int count = 0;
    co_await concurrency::create_task_group(
        [&](concurrency::TaskGroup& group) -> concurrency::Task<> {
            for (int i = 0; i < 3; ++i) {
                group.start_soon([&count]() -> concurrency::Task<> {
                    co_await concurrency::checkpoint();
                    ++count;
                });
            }
            co_return;
        }
    );
    co_return count;
}

}  // namespace

int main() {
    return concurrency::run(count) == 3 ? 0 : 1;
}
